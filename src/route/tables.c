/* tables.c: see tables.h. */
#include "route/tables.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

static uint64_t
hash_string(uint64_t h, const char *s)
{
    return hash_bytes(h, s, strlen(s) + 1);
}

static bool
name_is_known(const struct tables *tables, uint64_t name)
{
    const struct routed_table *other;
    size_t at = 0;

    while ((other = relmap_next(&tables->known, &at)) != NULL)
        if (other->name == name)
            return true;
    return false;
}

/* A key's history must stay in order when it continues at another worker. That happens if the key
 * changed. It also happens if this table now has a name, and so a target, under which it or another
 * table had other rows. */
static bool
has_moved(const struct tables *tables, const struct routed_table *table)
{
    const struct routed_table *before = tables_find(tables, table->relid);

    if (before == NULL)
        return name_is_known(tables, table->name);
    return before->moved || before->placement.hash != table->placement.hash ||
           before->name != table->name;
}

bool
tables_take(const struct tables *tables, const struct relation *relation)
{
    return strcmp(relation->schema, WALPIPE_SCHEMA) != 0 &&
           tablefilter_takes(&tables->filter, relation->schema, relation->name);
}

int
tables_learn(struct tables *tables, const struct relation *relation, bool *taken, struct err *err)
{
    struct routed_table *table = calloc(1, sizeof *table);
    void *replaced = NULL;

    if (table == NULL)
        goto out_of_memory;
    table->relid = relation->relid;
    table->taken = *taken = tables_take(tables, relation);
    table->name = hash_string(hash_string(HASH_SEED, relation->schema), relation->name);
    if (table->taken && tables->layout.shards > 1) {
        if (layout_place(&tables->layout, relation, &table->placement, err) != 0) {
            free(table);
            return -1;
        }
        table->moved = has_moved(tables, table);
    }
    if (relmap_put(&tables->known, relation->relid, table, &replaced) != 0)
        goto out_of_memory;
    free(replaced);
    return 0;
out_of_memory:
    free(table);
    return err_set(err, EXIT_PEER, "out of memory for a table");
}

struct routed_table *
tables_find(const struct tables *tables, uint32_t relid)
{
    return relmap_get(&tables->known, relid);
}

int
tables_note_life(struct tables *tables, uint32_t relid)
{
    static char there; /* its presence in the map is the information */
    void *replaced;

    return relmap_put(&tables->lived, relid, &there, &replaced);
}

bool
tables_lived(const struct tables *tables, uint32_t relid)
{
    return relmap_get(&tables->lived, relid) != NULL;
}

void
tables_free(struct tables *tables)
{
    struct routed_table *table;
    size_t at = 0;

    while ((table = relmap_next(&tables->known, &at)) != NULL)
        free(table);
    relmap_free(&tables->known);
    relmap_free(&tables->lived);
    tablefilter_free(&tables->filter);
    layout_free(&tables->layout);
}
