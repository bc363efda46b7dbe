/* stream.h: forwards the replication connection's bytes to the wal stream, and ackd's bytes to the
 * server, with one poll. */
#ifndef WALPIPE_STREAM_H
#define WALPIPE_STREAM_H

#include "lib/log.h"
#include "pg-wal-read/acklink.h"
#include "pg-wal-read/lowwater.h"
#include "pg-wal-read/slotwatch.h"
#include "pg-wal-read/source.h"
#include "pg-wal-read/tableask.h"

struct stream {
    const struct log *log;
    struct source *source;
    struct acklink *ack;     /* NULL with --no-ack */
    struct slotwatch *watch; /* NULL with --no-ack */
    struct tableask ask;     /* while it waits, nothing is read */
    int out_fd;              /* from io_make_nonblocking */
    int signal_fd;
    struct buf out;
    uint64_t start_lsn; /* the slot's position */
    uint64_t received_lsn;
    int64_t commit_time;    /* of the last commit that was received, 0 without one */
    uint64_t keepalive_lsn; /* last one written to the stream */
    bool more_in_libpq;     /* stopped taking messages because out was full */
    bool flush_pending;     /* PQflush did not write all */
    struct lowwater lowwater;
    bool stopping;           /* SIGTERM came, so nothing more is read, and `end` is written */
    uint64_t stopping_since; /* of clock_micros */
    bool out_closed;
    bool said_synchronous;
    bool heard;                 /* bytes came from the server since the last turn */
    uint64_t heard_at;          /* when the last message came, or when we began to listen */
    uint64_t feedback_deadline; /* when to send the server a sign of life, for --no-ack */
};

/* Writes hello first. Streams until SIGTERM (or SIGINT) and then drains. Returns 0 when everything
 * is confirmed and the server has ended the connection, -1 with err otherwise. */
int stream_run(struct stream *s, const struct hello *hello, struct err *err) MUST_CHECK;

#endif
