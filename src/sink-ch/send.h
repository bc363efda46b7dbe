/* send.h: sends the batch to ClickHouse. */
#ifndef WALPIPE_SINKCH_SEND_H
#define WALPIPE_SINKCH_SEND_H

#include "sink-ch/state.h"

/* Sends every table's rows and empties the batch. Returns when ClickHouse has them all. The current
 * frame is invalid afterwards. */
int send_batch(struct worker *worker, struct err *err) MUST_CHECK;

#endif
