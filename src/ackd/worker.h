/* worker.h: the messages of the sinks' workers. */
#ifndef WALPIPE_ACKD_WORKER_H
#define WALPIPE_ACKD_WORKER_H

#include "ackd/ackd.h"

int worker_register(struct ackd *ackd, struct conn *conn, const struct ack_message *message,
                    struct err *err) MUST_CHECK;

/* Call it after reading everything that pg-wal-read has written so far. A worker that reports as
 * durable an LSN that was not received yet has a bug. */
int worker_message(struct ackd *ackd, struct worker *worker, const struct ack_message *message,
                   struct err *err) MUST_CHECK;

/* The connection is closed. */
int worker_gone(struct ackd *ackd, struct worker *worker, struct err *err) MUST_CHECK;

#endif
