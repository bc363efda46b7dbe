/* skipping.h: the worker's part in transactions that a person skips (lib/skips.h). */
#ifndef WALPIPE_SINKCH_SKIPPING_H
#define WALPIPE_SINKCH_SKIPPING_H

#include "sink-ch/state.h"

/* ackd learns how much the target lacks. now: behind the registration. Else call it often. */
int skipping_report(struct worker *worker, bool now, struct err *err) MUST_CHECK;

/* *skipped: the table's changes in the open transaction are not to be applied. */
int skipping_row(struct worker *worker, struct table *table, bool *skipped,
                 struct err *err) MUST_CHECK;

/* *relations, to be freed, has those of tables whose part of the truncate went to the file. */
int skipping_truncate(struct worker *worker, const struct truncate_event *truncate,
                      const struct relation ***relations, struct err *err) MUST_CHECK;

/* The transaction ends. Behind it, the file and ClickHouse's notes have what its position passes.
 */
int skipping_commit(struct worker *worker, const struct commit_event *commit,
                    struct err *err) MUST_CHECK;

#endif
