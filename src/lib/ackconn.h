/* ackconn.h: a connection to ackd's socket for its clients. Sends and receives messages. The
 * messages' content is in ackclient.h for workers, and in the own files of pg-wal-read and walpipe
 * status. */
#ifndef WALPIPE_ACKCONN_H
#define WALPIPE_ACKCONN_H

#include "lib/ackmsg.h"

struct ackconn {
    int fd;               /* -1 if closed */
    struct run_id run_id; /* set by the caller, and sent with every message */
    struct frame_reader reader;
    struct buf out; /* queued, and not yet written */
};

/* Connects to ackd at path, which may begin to listen within patience_millis. Returns 0, or -1 with
 * err. Close it in both cases. */
int ackconn_open(struct ackconn *conn, const char *path, uint64_t patience_millis,
                 struct err *err) MUST_CHECK;
void ackconn_close(struct ackconn *conn);

/* Queues the message. */
int ackconn_queue(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* Writes as much of the queue as the socket takes now. */
int ackconn_flush(struct ackconn *conn, struct err *err) MUST_CHECK;

/* Writes the message, and waits if it must. Nothing may be queued. */
int ackconn_say(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* Takes the next message from the bytes read so far. Returns 1, 0 if there is none, or -1 with
 * err. */
int ackconn_next(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* Waits for the next message. */
int ackconn_hear(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* Waits up to millis. True as soon as ackd has closed the connection. */
bool ackconn_gone(const struct ackconn *conn, int millis);

/* The error for a connection that ackd has closed. Always -1. */
int ackconn_gone_error(struct err *err);

#endif
