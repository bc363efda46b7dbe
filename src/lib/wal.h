/* wal.h: the frames of the wal stream between hello and end (docs/frame.7). */
#ifndef WALPIPE_WAL_H
#define WALPIPE_WAL_H

#include "lib/frame.h"

/* One XLogData message of the replication protocol. Times are microseconds since 2000-01-01 UTC. */
struct wal_frame {
    uint64_t start_lsn; /* 0 for messages that have no position of their own, such as RELATION */
    uint64_t end_lsn;
    int64_t send_time;
    struct bytes message; /* the pgoutput message */
};

/* The server has sent everything up to wal_end that concerns this slot. */
struct keepalive_frame {
    uint64_t wal_end;
    int64_t send_time;
};

int wal_encode(struct buf *buf, const struct wal_frame *wal) MUST_CHECK;
bool wal_decode(struct cursor *body, uint32_t elements, struct wal_frame *wal) MUST_CHECK;

int keepalive_encode(struct buf *buf, const struct keepalive_frame *keepalive) MUST_CHECK;
bool keepalive_decode(struct cursor *body, uint32_t elements,
                      struct keepalive_frame *keepalive) MUST_CHECK;

#endif
