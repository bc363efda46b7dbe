/* metrics.h: the counters of each worker, and the Prometheus text of all metrics. */
#ifndef WALPIPE_ACKD_METRICS_H
#define WALPIPE_ACKD_METRICS_H

#include "lib/ackmsg.h"

#define HISTOGRAM_BUCKETS_MAX 16

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
    struct histogram batch_rows;
    struct histogram flush_micros;
    bool copies_known;         /* the worker has said how its tables are; then */
    struct copy_counts copies; /* rows and bytes of this run */
    uint64_t ranges_written, ranges_dropped;
};

/* Counts one report of a worker. */
void metrics_count(struct worker_metrics *metrics, const struct ack_reached *reached);

/* What a worker says of copies. */
void metrics_count_copies(struct worker_metrics *metrics, const struct copy_counts *counts);
void metrics_count_range(struct worker_metrics *metrics, const struct range_copied *copied);

struct ackd;

/* Appends the whole page. If memory runs out, the buf remembers it. */
void metrics_render(const struct ackd *ackd, struct buf *page);

#endif
