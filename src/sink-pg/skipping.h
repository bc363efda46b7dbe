/* skipping.h: the worker's part in transactions that a person skips (lib/skips.h). */
#ifndef SINK_PG_SKIPPING_H
#define SINK_PG_SKIPPING_H

#include "sink-pg/state.h"

/* Reads the target's notes. */
int skipping_load(struct worker *worker, struct err *err) MUST_CHECK;

/* Behind the registration. ackd learns how much the target lacks, now and later. */
int skipping_registered(struct worker *worker, struct err *err) MUST_CHECK;

/* *skipped: the change went to the file, and is not to be applied. */
int skipping_row(struct worker *worker, struct table *table, const struct intake_item *item,
                 bool *skipped, struct err *err) MUST_CHECK;

/* Takes the tables out of the truncate whose part of it is skipped. */
int skipping_truncate(struct worker *worker, struct truncate_event *truncate,
                      struct err *err) MUST_CHECK;

/* Before a commit: what it passes is on disk. */
int skipping_finish(struct worker *worker, const struct position *commit,
                    struct err *err) MUST_CHECK;

/* Behind it. */
int skipping_committed(struct worker *worker, const struct position *commit,
                       struct err *err) MUST_CHECK;

/* A batch could not be applied. Names the transaction. pieces: a part of it was in the target's
 * open transaction. */
void skipping_refused(struct worker *worker, bool pieces, struct err *err);

/* The run ends with err, and no table is parked instead. Says how to skip the transaction if its
 * data are the cause. */
void skipping_hint(const struct worker *worker, struct err *err);

#endif
