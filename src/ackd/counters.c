/* counters.c: see counters.h. */
#include "ackd/counters.h"

const struct counters_buckets counters_rows_buckets = {
    .count = 8, .bounds = {1, 10, 100, 500, 1000, 5000, 10000, 100000}};

/* 1 ms to a minute. */
const struct counters_buckets counters_micros_buckets = {
    .count = 15,
    .bounds = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
               5000000, 10000000, 30000000, 60000000}};

static void
observe(struct histogram *h, const struct counters_buckets *b, uint64_t value)
{
    size_t i = 0;

    while (i < b->count && value > b->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

void
counters_report(struct worker_metrics *m, const struct ack_reached *r)
{
    m->events += r->events;
    if (r->batch_rows == 0)
        return;
    m->batches++;
    observe(&m->batch_rows, &counters_rows_buckets, r->batch_rows);
    observe(&m->flush_micros, &counters_micros_buckets, r->flush_micros);
}

void
counters_copies(struct worker_metrics *m, const struct copy_counts *counts)
{
    uint64_t rows = m->copies.rows + counts->rows, bytes = m->copies.bytes + counts->bytes;

    m->copies_known = true;
    m->copies = *counts;
    m->copies.rows = rows;
    m->copies.bytes = bytes;
}

void
counters_range(struct worker_metrics *m, const struct range_copied *copied)
{
    if (copied->written)
        m->ranges_written++;
    else
        m->ranges_dropped++;
}
