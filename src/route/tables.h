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
    struct relmap lived; /* those that have, or had, a life of a copy for this sink */
};

/* Remembers a relation event; *taken says whether this sink takes the table. -1 with err: the table
 * cannot be sharded as asked, or out of memory. */
int tables_learn(struct tables *tables, const struct relation *relation, bool *taken,
                 struct err *err) MUST_CHECK;

/* NULL for a table that was not announced. */
struct routed_table *tables_find(const struct tables *tables, uint32_t relid);

/* The sink takes this table. */
bool tables_take(const struct tables *tables, const struct relation *relation);

/* A life of a copy of the table begins, and whether there was one. -1: out of memory. */
int tables_note_life(struct tables *tables, uint32_t relid) MUST_CHECK;
bool tables_lived(const struct tables *tables, uint32_t relid);

void tables_free(struct tables *tables);

#endif
