/* tablestats.h: the changes of each table, and the states of its copy, as the workers report them.
 * Bounded. The first TABLESTATS_MAX tables have their own entries. The other tables of each sink
 * share one. Pure. */
#ifndef WALPIPE_ACKD_TABLESTATS_H
#define WALPIPE_ACKD_TABLESTATS_H

#include "lib/ackmsg.h"

#define TABLESTATS_MAX 500u

struct tablestat {
    uint32_t sink;                  /* an index */
    struct ack_table_counts counts; /* the sums; table is "" for the sink's other tables, and state
                                       is not used */
    char states[WORKERS_MAX];       /* by shard: the first letter of the state, or 0 */
};

/* Zero-initialise to use. */
struct tablestats {
    uint32_t named; /* number of named tables in the list */
    uint32_t count;
    struct tablestat tables[TABLESTATS_MAX + WORKERS_MAX];
};

/* Adds a worker's report. */
void tablestats_add(struct tablestats *all, uint32_t sink, uint32_t shard,
                    const struct ack_table_counts *more);

/* "waiting", "copying", "resync", "parked" or "streaming", for all of the sink's workers together,
 * or "" when none has said. */
const char *tablestats_state(const struct tablestat *table);

#endif
