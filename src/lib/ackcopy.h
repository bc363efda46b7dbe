/* ackcopy.h: pg-table-read's side of the ack socket (docs/ack.7). Nothing here waits. Messages are
 * queued in the connection, and ackconn_flush writes them. Read its descriptor whenever it is
 * readable, because ackd closes the connection of a peer that does not read. */
#ifndef WALPIPE_ACKCOPY_H
#define WALPIPE_ACKCOPY_H

#include "lib/ackconn.h"

/* Queues the first message. The answer, ACK_RUN, may take long. */
int ackcopy_hello(struct ackconn *ack, const char *program, struct err *err) MUST_CHECK;

/* Queues the question about a life, which its workers must answer. sinks is empty to ask all that
 * read copies. Flush it to the end before the life's `table` is written to route. A life may have
 * one open question. */
int ackcopy_ask(struct ackconn *ack, uint64_t life, const struct sinklist *sinks,
                struct err *err) MUST_CHECK;

/* Queues the answer to a command's request. */
int ackcopy_controlled(struct ackconn *ack, const struct copy_controlled *controlled,
                       struct err *err) MUST_CHECK;

/* A message of ackd, or of a worker through ackd. */
struct ackcopy_report {
    char sink[NAME_MAX_BYTES + 1]; /* the worker's sink, "" for ackd itself */
    uint32_t shard;
    struct ack_message message; /* From ackd ACK_RUN, ACK_ANSWERED, ACK_CONTROL or
                                  ACK_DRAINING. From a worker
                                   ACK_TABLE_STATE, ACK_COPIED or ACK_MISSING. May point into the
                                   connection's buffer, and is valid until that is read again. */
};

/* Takes the next report from the bytes read so far. Returns 1, 0 if there is none, or -1 with err.
 * A refusal by ackd is EXIT_REFUSED. ACK_RUN sets the connection's run id. */
int ackcopy_report(struct ackconn *ack, struct ackcopy_report *report, struct err *err) MUST_CHECK;

#endif
