/* counters.h: the counters of each worker, and their histograms. */
#ifndef WALPIPE_ACKD_COUNTERS_H
#define WALPIPE_ACKD_COUNTERS_H

#include "lib/ackmsg.h"

#define HISTOGRAM_BUCKETS_MAX 16

struct counters_buckets {
    size_t count;
    uint64_t bounds[HISTOGRAM_BUCKETS_MAX]; /* upper bounds, inclusive */
};

/* In rows and in microseconds. */
extern const struct counters_buckets counters_rows_buckets, counters_micros_buckets;

/* counts[i] is the number of observations in bucket i alone, not cumulative. The last bucket is
 * +Inf. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1];
    uint64_t sum; /* rows, or microseconds */
};

struct worker_metrics {
    uint64_t events;
    uint64_t batches;
    uint64_t reconnects; /* the target came back */
    uint64_t retries;    /* attempts to reach it that failed */
    struct histogram batch_rows;
    struct histogram flush_micros;
    bool copies_known;         /* the worker has reported the states of its tables; then */
    struct copy_counts copies; /* rows and bytes of this run */
    uint64_t ranges_written, ranges_dropped;
};

/* Counts one report of a worker. */
void counters_report(struct worker_metrics *metrics, const struct ack_reached *reached);

/* The counts of a worker about copies. */
void counters_copies(struct worker_metrics *metrics, const struct copy_counts *counts);
void counters_range(struct worker_metrics *metrics, const struct range_copied *copied);

#endif
