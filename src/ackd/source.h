/* source.h: the messages of pg-wal-read. */
#ifndef WALPIPE_ACKD_SOURCE_H
#define WALPIPE_ACKD_SOURCE_H

#include "ackd/ackd.h"

int source_hello(struct ackd *ackd, struct conn *conn, const struct ack_message *message,
                 struct err *err) MUST_CHECK;

/* Takes the condition that pg-wal-read waits for before the source is known. */
int source_waiting(struct ackd *ackd, struct conn *conn, const struct ack_message *message,
                   struct err *err) MUST_CHECK;

int source_received(struct ackd *ackd, const struct ack_received *received,
                    struct err *err) MUST_CHECK;
int source_slot(struct ackd *ackd, const struct ack_slot *slot, struct err *err) MUST_CHECK;
int source_draining(struct ackd *ackd, struct err *err) MUST_CHECK;

/* The connection is closed. */
int source_gone(struct ackd *ackd, struct err *err) MUST_CHECK;

#endif
