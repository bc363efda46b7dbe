/* ackcopy.h: pg-table-read's side of the ack socket (docs/ack.7). Nothing here waits: messages are
 * queued in the connection, ackconn_flush writes them, and its descriptor must be read whenever it
 * is readable, since ackd closes the connection of a peer that does not read. */
#ifndef WALPIPE_ACKCOPY_H
#define WALPIPE_ACKCOPY_H

#include "lib/ackconn.h"

/* Queues the first message. The answer, ACK_RUN, may take long. */
int ackcopy_hello(struct ackconn *ack, const char *program, struct err *err) MUST_CHECK;

/* Queues the question who has to answer a life; sinks is empty for all that read copies. It must be
 * flushed to the end before the life's `table` is written to route. One question for a life at a
 * time. */
int ackcopy_ask(struct ackconn *ack, uint64_t life, const struct sinklist *sinks,
                struct err *err) MUST_CHECK;

/* What ackd or, through it, a worker has said. */
struct ackcopy_report {
    char sink[NAME_MAX_BYTES + 1]; /* the worker; "": ackd itself */
    uint32_t shard;
    struct ack_message message; /* ackd: ACK_RUN, ACK_ANSWERED or ACK_DRAINING; a worker:
                                   ACK_TABLE_STATE, ACK_COPIED or ACK_MISSING. May point into the
                                   connection's buffer: valid until it is read again */
};

/* The next report of what was read: 1, or 0 when there is none, or -1 with err; that ackd refuses
 * is EXIT_REFUSED. ACK_RUN sets the connection's run id. */
int ackcopy_report(struct ackconn *ack, struct ackcopy_report *report, struct err *err) MUST_CHECK;

#endif
