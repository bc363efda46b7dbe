/* feedback.h: the feedback on the replication connection, which reports the progress to the source.
 * ackd writes the bytes, and pg-wal-read sends them unchanged. */
#ifndef WALPIPE_FEEDBACK_H
#define WALPIPE_FEEDBACK_H

#include "lib/cursor.h"

#define FEEDBACK_SIZE 34

/* "Standby status update" of the streaming replication protocol. Time is in microseconds since
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
