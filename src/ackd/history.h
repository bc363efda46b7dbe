/* history.h: the last two hours of a run, one point every ten seconds, for the plots of the status
 * page. It stays in memory, whose size is fixed, and ends with ackd. Longer history is Prometheus'
 * work. Pure. */
#ifndef WALPIPE_ACKD_HISTORY_H
#define WALPIPE_ACKD_HISTORY_H

#include "lib/base.h"

#define HISTORY_STEP_MICROS UINT64_C(10000000)
#define HISTORY_POINTS_MAX  720u

/* Later sinks have no plots. */
#define HISTORY_SINKS_MAX 16u

struct history_point {
    int64_t time; /* Unix time in milliseconds */
    bool lag_known;
    uint64_t lag_bytes;
    int64_t lag_micros; /* -1 if not known */
    uint64_t wal_lsn;   /* the end of the source's WAL, 0 if not known */
    bool slot_known;
    uint64_t retained_bytes;
    int64_t safe_wal_size;               /* -1 without a limit */
    uint64_t changes[HISTORY_SINKS_MAX]; /* made durable since the start, in this run */
    uint64_t copied[HISTORY_SINKS_MAX];  /* rows */
};

/* Zero-initialise to use. */
struct history {
    uint64_t due_at; /* of clock_micros, for the next point */
    uint32_t count;
    uint32_t next; /* where the next point goes */
    struct history_point points[HISTORY_POINTS_MAX];
};

void history_add(struct history *history, const struct history_point *point);

/* The i-th of history->count points, from the oldest on. */
const struct history_point *history_at(const struct history *history, uint32_t i);

/* Sets the time until the source invalidates the slot, if its safe_wal_size continues to decrease
 * as in the last ten minutes. It is INFINITY if safe_wal_size does not decrease or has no limit.
 * Returns false until there are points of at least one minute. */
bool history_slot_seconds(const struct history *history, double *seconds);

#endif
