/* send.h: the batch to ClickHouse. */
#ifndef WALPIPE_SINKCH_SEND_H
#define WALPIPE_SINKCH_SEND_H

#include "sink-ch/state.h"

/* Sends every table's rows and forgets them; returns when ClickHouse has them all. The frame in
 * hand is gone afterwards. */
int send_batch(struct worker *worker, struct err *err) MUST_CHECK;

#endif
