/* conn.h: one connection of the ack socket: frames in, a bounded buffer out, never blocking. It
 * must not know what the messages mean. */
#ifndef WALPIPE_ACKD_CONN_H
#define WALPIPE_ACKD_CONN_H

#include "lib/ackmsg.h"

/* What out_max is at first. The largest message, a status, is a quarter. */
#define CONN_OUT_MAX (1u << 20)

enum conn_role {
    CONN_NEW,    /* has not said who it is (a `walpipe status` never does) */
    CONN_READER, /* pg-wal-read */
    CONN_WORKER,
    CONN_COPIER /* pg-table-read */
};

struct conn {
    int fd; /* -1: this slot is free */
    enum conn_role role;
    uint32_t worker; /* index, of a CONN_WORKER */
    struct frame_reader in;
    struct buf out;
    size_t out_max; /* with more unread the peer is stuck */
    bool closing;   /* read no more; close when out is empty */
    bool broken;    /* the peer does not take what is written; what it wrote before still counts */
    bool eof;       /* the peer has closed, everything it wrote was read */
};

/* Takes fd and makes it non-blocking. */
void conn_open(struct conn *conn, int fd);
void conn_close(struct conn *conn);

/* Queues the message and writes what can be written now. -1 with err when the peer has not read
 * for too long (EXIT_PEER) or memory is out. A peer that is gone is no error here: reading says so.
 */
int conn_send(struct conn *conn, const struct ack_message *message, struct err *err) MUST_CHECK;

/* The same for bytes that are frames already; takes them out of frames. */
int conn_send_frames(struct conn *conn, struct buf *frames, struct err *err) MUST_CHECK;

/* Writes what can be written now. */
void conn_flush(struct conn *conn);

#endif
