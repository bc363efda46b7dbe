/* differences.h: changes that did not find in the target what they should have found, by table.
 * Bounded: the first ACK_DIFFERENCES_MAX tables are counted one by one, the others of each sink
 * together. */
#ifndef WALPIPE_ACKD_DIFFERENCES_H
#define WALPIPE_ACKD_DIFFERENCES_H

#include "lib/ackmsg.h"

struct counted_table {
    uint32_t sink;                      /* index */
    struct ack_differences differences; /* relation "": the sink's other tables */
};

/* Zero-initialise to use. */
struct differences {
    uint32_t named; /* tables in the list that have a name */
    uint32_t count; /* all in the list, in the order in which they came */
    struct counted_table tables[ACK_DIFFERENCES_MAX + WORKERS_MAX];
};

/* Adds a worker's report. */
void differences_add(struct differences *all, uint32_t sink, const struct ack_differences *more);

#endif
