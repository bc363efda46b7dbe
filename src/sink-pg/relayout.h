/* relayout.h: the layout that is stored with a sink's progress. It is compared with the stream's at
 * the start, and replaced.
 *
 *     walpipe.layout            each generation's text (lib/layout.h); progress.layout names one
 *     walpipe.progress_before   where the workers of older generations stopped
 *     walpipe.whole             tables that workers found must not be split
 *
 * A sink of one worker whose layout never changed has no rows in any of them. */
#ifndef SINK_PG_RELAYOUT_H
#define SINK_PG_RELAYOUT_H

#include "sink-pg/layers.h"
#include "sink-pg/session.h"

struct relayout {
    const char *pipeline;
    const struct hello *hello;
    const struct layout *layout; /* of the stream */
};

/* Call it inside of the transaction that holds the lock on walpipe.progress, which exists. Makes
 * the sink's rows those of the stream's layout. If it differs, the old rows become a layer, new
 * rows for all workers begin at the lowest old LSN, and every old worker is fenced. EXIT_REFUSED if
 * the stored rows do not tell which worker had each change. *done is set if the sink's rows are all
 * there. Otherwise a sink of one worker is left unchanged. */
int relayout(const struct relayout *r, struct session *s, bool *done, struct err *err) MUST_CHECK;

/* Reads the layers that not all workers have passed. */
int relayout_layers(const struct relayout *r, struct session *s, struct layers *layers,
                    struct err *err) MUST_CHECK;

/* For --check. Whether relayout would refuse. Changes nothing. shards are the config's. */
int relayout_check(const struct relayout *r, struct session *s, struct err *err) MUST_CHECK;

/* For `sink-pg --drop-progress`. Removes the sink's rows from the tables above. */
int relayout_drop(struct session *s, const char *pipeline, const char *sink,
                  struct err *err) MUST_CHECK;

#endif
