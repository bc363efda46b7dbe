/* ackconn.h: a connection to ackd's socket: messages out and in, for those who connect to it. What
 * they say stands with them: workers in ackclient.h, pg-wal-read and walpipe status at home. */
#ifndef WALPIPE_ACKCONN_H
#define WALPIPE_ACKCONN_H

#include "lib/ackmsg.h"

struct ackconn {
    int fd;               /* -1: closed */
    struct run_id run_id; /* what every message carries; the caller's to set */
    struct frame_reader reader;
    struct buf out; /* queued, and not yet written */
};

/* Connects to ackd at path, which may begin to listen within patience_millis. 0, or -1 with err; to
 * be closed in both cases. */
int ackconn_open(struct ackconn *conn, const char *path, uint64_t patience_millis,
                 struct err *err) MUST_CHECK;
void ackconn_close(struct ackconn *conn);

/* Adds the message to what is to be written. */
int ackconn_queue(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* Writes what is queued, as far as the socket takes it now. */
int ackconn_flush(struct ackconn *conn, struct err *err) MUST_CHECK;

/* Writes the message; waits where it must. Nothing may be queued. */
int ackconn_say(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* The next message of what was read: 1, or 0 when there is none, or -1 with err. */
int ackconn_next(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* Waits for the next message. */
int ackconn_hear(struct ackconn *conn, struct ack_message *message, struct err *err) MUST_CHECK;

/* Waits up to millis. True as soon as ackd has closed the connection. */
bool ackconn_gone(const struct ackconn *conn, int millis);

/* The error for that. Always -1. */
int ackconn_gone_error(struct err *err);

#endif
