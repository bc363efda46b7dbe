/* tables.h: what a sink of route keeps of the tables that the stream announced: whether it takes
 * them and by what their rows find a worker. */
#ifndef WALPIPE_TABLES_H
#define WALPIPE_TABLES_H

#include "lib/event.h"
#include "lib/relmap.h"
#include "lib/tablefilter.h"

enum shard_key { SHARD_BY_KEY, SHARD_BY_TABLE, SHARD_BY_COLUMN };

struct routed_table {
    uint32_t relid;
    bool taken;
    bool moved;           /* rows may go to other workers than before: a barrier comes first */
    bool by_column;       /* SHARD_BY_COLUMN and the table has the column */
    uint32_t column;      /* its index */
    uint32_t column_type; /* its type's oid */
    uint64_t placement;   /* a hash of all that decides which worker a row goes to */
    uint64_t name;        /* a hash of schema and name */
};

struct tables {
    struct tablefilter filter;
    enum shard_key shard_key;
    const char *shard_column; /* SHARD_BY_COLUMN */
    struct relmap known;
};

/* Remembers a relation event; *taken says whether this sink takes the table. -1 with err: the table
 * cannot be sharded as asked, or out of memory. sink is the sink's name, for the message; shards
 * its number of workers. */
int tables_learn(struct tables *tables, const char *sink, uint32_t shards,
                 const struct relation *relation, bool *taken, struct err *err) MUST_CHECK;

/* NULL for a table that was not announced. */
struct routed_table *tables_find(const struct tables *tables, uint32_t relid);

void tables_free(struct tables *tables);

#endif
