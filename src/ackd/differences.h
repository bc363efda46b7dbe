/* differences.h: counts, per table, the changes that found another row in the target than expected,
 * or none. Bounded. The first ACK_DIFFERENCES_MAX tables have their own counts. The other tables of
 * each sink share one. */
#ifndef WALPIPE_ACKD_DIFFERENCES_H
#define WALPIPE_ACKD_DIFFERENCES_H

#include "lib/ackmsg.h"

struct counted_table {
    uint32_t sink;                      /* an index */
    struct ack_differences differences; /* relation is "" for the sink's other tables */
};

/* Zero-initialise to use. */
struct differences {
    uint32_t named; /* number of named tables in the list */
    uint32_t count; /* number of all entries, in the order of their arrival */
    struct counted_table tables[ACK_DIFFERENCES_MAX + WORKERS_MAX];
};

/* Adds a worker's report. */
void differences_add(struct differences *all, uint32_t sink, const struct ack_differences *more);

#endif
