/* feedback.h: what the replication connection is told: how far everything is. ackd writes the
 * bytes, pg-wal-read sends them as they are. */
#ifndef WALPIPE_FEEDBACK_H
#define WALPIPE_FEEDBACK_H

#include "lib/cursor.h"

#define FEEDBACK_SIZE 34

/* "Standby status update" of the streaming replication protocol. Time: microseconds since
 * 2000-01-01 UTC. */
struct feedback {
    uint64_t write_lsn;
    uint64_t flush_lsn;
    uint64_t apply_lsn;
    int64_t client_time;
    bool reply_requested;
};

void feedback_encode(uint8_t out[FEEDBACK_SIZE], const struct feedback *feedback);
bool feedback_decode(struct bytes bytes, struct feedback *feedback) MUST_CHECK;

#endif
