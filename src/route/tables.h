/* tables.h: a sink's record of the tables that the stream announced. It has whether the sink takes
 * each table, and how the table's rows find a worker. */
#ifndef WALPIPE_TABLES_H
#define WALPIPE_TABLES_H

#include "lib/layout.h"
#include "lib/relmap.h"
#include "lib/tablefilter.h"

struct routed_table {
    uint32_t relid;
    bool taken;
    bool moved; /* rows may go to other workers than before, so a barrier comes first */
    struct placement placement;
    uint64_t name; /* a hash of schema and name */
};

struct tables {
    struct tablefilter filter;
    struct layout layout; /* shards is the sink's number of workers */
    struct relmap known;
    struct relmap lived; /* those that have, or had, a life of a copy for this sink */
};

/* Remembers a relation event. Sets *taken if this sink takes the table. Returns -1 with err if the
 * table cannot be sharded as configured, or memory is out. */
int tables_learn(struct tables *tables, const struct relation *relation, bool *taken,
                 struct err *err) MUST_CHECK;

/* NULL for a table that was not announced. */
struct routed_table *tables_find(const struct tables *tables, uint32_t relid);

/* Whether the sink takes this table. */
bool tables_take(const struct tables *tables, const struct relation *relation);

/* A life of a copy of the table begins. Remembers that there was one. Returns -1 when memory is
 * out. */
int tables_note_life(struct tables *tables, uint32_t relid) MUST_CHECK;
bool tables_lived(const struct tables *tables, uint32_t relid);

void tables_free(struct tables *tables);

#endif
