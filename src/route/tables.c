/* tables.c: see tables.h. */
#include "route/tables.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

/* The shard column must be part of the replica identity, or its old value would not be known and a
 * row could leave its worker unseen. */
static int
find_shard_column(const struct tables *tables, const char *sink, const struct relation *relation,
                  struct routed_table *table, struct err *err)
{
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *column = &relation->columns[i];

        if (strcmp(column->name, tables->shard_column) != 0)
            continue;
        if (!column->key || !hash_type_is_canonical(column->type_oid)) {
            err_set(err, EXIT_REFUSED,
                    "sink %s cannot shard table %s.%s by column \"%s\": it is not part of the "
                    "replica identity, or its type has several spellings of one value",
                    sink, relation->schema, relation->name, column->name);
            return err_hint(err, "make it part of the key, use REPLICA IDENTITY FULL, or shard by "
                                 "key or table");
        }
        table->by_column = true;
        table->column = i;
        table->column_type = column->type_oid;
        return 0;
    }
    return 0; /* a table without the column is sharded by its key */
}

static uint64_t
hash_string(uint64_t h, const char *s)
{
    return hash_bytes(h, s, strlen(s) + 1);
}

static uint64_t
hash_column(uint64_t h, const struct relation_column *column)
{
    return hash_bytes(hash_string(h, column->name), &column->type_oid, sizeof column->type_oid);
}

/* Two announcements of a table with the same placement give every row the same worker. */
static uint64_t
placement(const struct tables *tables, const struct relation *relation,
          const struct routed_table *table)
{
    bool keyless = relation->replica_identity == 'f' || relation->replica_identity == 'n';
    uint64_t h = HASH_SEED;

    if (tables->shard_key == SHARD_BY_TABLE)
        return h;
    if (table->by_column)
        return hash_column(hash_string(h, "column"), &relation->columns[table->column]);
    for (uint32_t i = 0; i < relation->columns_count && !keyless; i++)
        if (relation->columns[i].key && hash_type_is_canonical(relation->columns[i].type_oid))
            h = hash_column(h, &relation->columns[i]);
    return h;
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

/* A key's history must stay in order when it goes on at another worker: the key changed, or this
 * table now has the name, and so the target, that it or another one had other rows under. */
static bool
has_moved(const struct tables *tables, const struct routed_table *table)
{
    const struct routed_table *before = tables_find(tables, table->relid);

    if (before == NULL)
        return name_is_known(tables, table->name);
    return before->moved || before->placement != table->placement || before->name != table->name;
}

static bool
is_taken(const struct tables *tables, const struct relation *relation)
{
    return strcmp(relation->schema, WALPIPE_SCHEMA) != 0 &&
           tablefilter_takes(&tables->filter, relation->schema, relation->name);
}

int
tables_learn(struct tables *tables, const char *sink, uint32_t shards,
             const struct relation *relation, bool *taken, struct err *err)
{
    struct routed_table *table = calloc(1, sizeof *table);
    void *replaced = NULL;

    if (table == NULL)
        goto out_of_memory;
    table->relid = relation->relid;
    table->taken = *taken = is_taken(tables, relation);
    table->name = hash_string(hash_string(HASH_SEED, relation->schema), relation->name);
    if (table->taken && shards > 1) {
        if (tables->shard_key == SHARD_BY_COLUMN &&
            find_shard_column(tables, sink, relation, table, err) != 0) {
            free(table);
            return -1;
        }
        table->placement = placement(tables, relation, table);
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

void
tables_free(struct tables *tables)
{
    struct routed_table *table;
    size_t at = 0;

    while ((table = relmap_next(&tables->known, &at)) != NULL)
        free(table);
    relmap_free(&tables->known);
    tablefilter_free(&tables->filter);
}
