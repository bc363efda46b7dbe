/* copier.h: the connection of pg-table-read, which copies rows that exist already (docs/copy.md).
 * ackd forwards the workers' messages to it, and counts their answers. Nothing here changes the LSN
 * that is confirmed to the source. Nobody waits for pg-table-read, and ackd continues without it.
 *
 * A message that pg-table-read may not send closes its connection and is no error of the run. */
#ifndef WALPIPE_ACKD_COPIER_H
#define WALPIPE_ACKD_COPIER_H

#include "ackd/ackd.h"

/* The connection is closed when pg-table-read leaves more than this unread. */
#define COPIER_OUT_MAX (16u << 20)

/* pg-table-read sent its first message. */
void copier_hello(struct ackd *ackd, struct conn *conn, const struct ack_message *message);

void copier_ask(struct ackd *ackd, const struct copy_ask *ask);

/* All workers have registered, so the run has begun for good. */
void copier_run(struct ackd *ackd);

/* Forwards a worker's message about a copy. Call it after reading everything that pg-table-read has
 * written so far, because a worker can answer only after the question was asked. */
void copier_relay(struct ackd *ackd, const struct worker *worker,
                  const struct ack_message *message);

/* The source's stream has ended. */
void copier_draining(struct ackd *ackd);

/* The connection is closed. */
void copier_gone(struct ackd *ackd);

#endif
