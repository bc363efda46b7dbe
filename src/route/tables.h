/* tables.h: what a sink of route keeps of the tables that the stream announced: whether it takes
 * them and by what their rows find a worker. */
#ifndef WALPIPE_TABLES_H
#define WALPIPE_TABLES_H

#include "lib/layout.h"
#include "lib/relmap.h"
#include "lib/tablefilter.h"

struct routed_table {
    uint32_t relid;
    bool taken;
    bool moved; /* rows may go to other workers than before: a barrier comes first */
    struct placement placement;
    uint64_t name; /* a hash of schema and name */
};

struct tables {
    struct tablefilter filter;
    struct layout layout; /* shards is the sink's number of workers */
    struct relmap known;
};

/* Remembers a relation event; *taken says whether this sink takes the table. -1 with err: the table
 * cannot be sharded as asked, or out of memory. */
int tables_learn(struct tables *tables, const struct relation *relation, bool *taken,
                 struct err *err) MUST_CHECK;

/* NULL for a table that was not announced. */
struct routed_table *tables_find(const struct tables *tables, uint32_t relid);

void tables_free(struct tables *tables);

#endif
