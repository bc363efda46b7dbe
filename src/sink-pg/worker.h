/* worker.h: one worker from start to end. It reads the event stream, applies batches to the target,
 * and reports to ackd. */
#ifndef SINK_PG_WORKER_H
#define SINK_PG_WORKER_H

#include "sink-pg/state.h"

/* Reads the stream on `in` to the end frame. Returns 0, or -1 with err. */
int worker_run(struct worker *worker, int in, struct err *err) MUST_CHECK;
void worker_free(struct worker *worker);

#endif
