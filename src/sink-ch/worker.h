/* worker.h: the loop of one worker. It reads frames and adds rows to the batch. It sends the batch
 * when it is full or old enough, and then reports the durable LSN to ackd. */
#ifndef WALPIPE_SINKCH_WORKER_H
#define WALPIPE_SINKCH_WORKER_H

#include "sink-ch/state.h"

/* Reads the stream to its end. Returns 0, or -1 with err. */
int worker_run(struct worker *worker, struct err *err) MUST_CHECK;
void worker_free(struct worker *worker);

#endif
