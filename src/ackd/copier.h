/* copier.h: pg-table-read, which copies rows that exist already (docs/copy.md): ackd passes on what
 * the workers tell it, and counts their answers. Nothing of this touches what is confirmed to the
 * source, nobody waits for pg-table-read, and when it goes ackd goes on.
 *
 * What it may not say closes its connection and is no error of the run. */
#ifndef WALPIPE_ACKD_COPIER_H
#define WALPIPE_ACKD_COPIER_H

#include "ackd/ackd.h"

/* It must read what it is sent: with more than this unread its connection is closed. */
#define COPIER_OUT_MAX (16u << 20)

/* Its first message. */
void copier_hello(struct ackd *ackd, struct conn *conn, const struct ack_message *message);

void copier_ask(struct ackd *ackd, const struct copy_ask *ask);

/* All workers have registered: the run has begun for good. */
void copier_run(struct ackd *ackd);

/* What a worker said of a copy. What pg-table-read has written so far must have been read: it asks
 * before the worker can answer. */
void copier_relay(struct ackd *ackd, const struct worker *worker,
                  const struct ack_message *message);

/* The source's stream has ended. */
void copier_draining(struct ackd *ackd);

/* The connection is closed. */
void copier_gone(struct ackd *ackd);

#endif
