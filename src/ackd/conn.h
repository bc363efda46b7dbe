/* conn.h: one connection of the ack socket. It reads frames, keeps output in a bounded buffer, and
 * never blocks. It must not know the meaning of a message. */
#ifndef WALPIPE_ACKD_CONN_H
#define WALPIPE_ACKD_CONN_H

#include "lib/ackmsg.h"

/* The first value of out_max. The largest message, a status, is a quarter of it. */
#define CONN_OUT_MAX (1u << 20)

enum conn_role {
    CONN_NEW,    /* has not registered (a `walpipe status` never does) */
    CONN_READER, /* pg-wal-read */
    CONN_WORKER,
    CONN_COPIER /* pg-table-read */
};

struct conn {
    int fd; /* -1 if this slot is free */
    enum conn_role role;
    uint32_t worker; /* index of the worker, for CONN_WORKER */
    struct frame_reader in;
    struct buf out;
    size_t out_max; /* a peer that leaves more than this unread is stuck */
    bool closing;   /* read no more, and close when out is empty */
    bool broken;    /* the peer no longer accepts output, but its earlier messages still count */
    bool eof;       /* the peer has closed, and everything that it wrote was read */
};

/* Takes fd and makes it non-blocking. */
void conn_open(struct conn *conn, int fd);
void conn_close(struct conn *conn);

/* Queues the message and writes as much as the socket takes. Returns -1 with err if the peer has
 * not read for too long (EXIT_PEER) or memory is out. A peer that is gone is no error here, because
 * reading reports it. */
int conn_send(struct conn *conn, const struct ack_message *message, struct err *err) MUST_CHECK;

/* The same for bytes that are frames already. Removes them from frames. */
int conn_send_frames(struct conn *conn, struct buf *frames, struct err *err) MUST_CHECK;

/* Writes as much as the socket takes now. */
void conn_flush(struct conn *conn);

#endif
