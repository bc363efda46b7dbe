/* worker.h: the loop of one worker: frames in, rows into the batch, the batch out when it is full
 * or old enough, and what is durable then to ackd. */
#ifndef WALPIPE_SINKCH_WORKER_H
#define WALPIPE_SINKCH_WORKER_H

#include "sink-ch/state.h"

/* Reads the stream to its end. 0, or -1 with err. */
int worker_run(struct worker *worker, struct err *err) MUST_CHECK;
void worker_free(struct worker *worker);

#endif
