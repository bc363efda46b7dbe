/* keyhash.c: see keyhash.h. */
#include "lib/keyhash.h"

#include <stdlib.h>

#include "lib/hash.h"

static bool
enters_hash(char replica_identity, const struct relation_column *column)
{
    return replica_identity != 'f' && replica_identity != 'n' && column->key &&
           hash_type_is_canonical(column->type_oid);
}

static uint64_t
hash_relid(uint32_t relid)
{
    const uint8_t bytes[] = {(uint8_t)(relid >> 24), (uint8_t)(relid >> 16), (uint8_t)(relid >> 8),
                             (uint8_t)relid};

    return hash_bytes(HASH_SEED, bytes, sizeof bytes);
}

int
keyhash_init(struct keyhash *k, uint32_t relid, char replica_identity,
             const struct relation_column *columns, uint32_t count)
{
    *k = (struct keyhash){.start = hash_relid(relid)};
    k->columns = malloc((count > 0 ? count : 1) * sizeof *k->columns);
    if (k->columns == NULL)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (enters_hash(replica_identity, &columns[i]))
            k->columns[k->columns_count++] =
                (struct keyhash_column){.column = (uint16_t)i, .type_oid = columns[i].type_oid};
    return 0;
}

void
keyhash_free(struct keyhash *k)
{
    free(k->columns);
    *k = (struct keyhash){0};
}

bool
keyhash_row(const struct keyhash *k, const struct tuple *row, const struct tuple *other,
            uint64_t *hash)
{
    static const uint8_t separator = 0;
    uint64_t h = k->start;

    for (uint32_t i = 0; i < k->columns_count; i++) {
        uint16_t column = k->columns[i].column;
        const struct value *value = &row->values[column];

        if (value->kind == VALUE_UNCHANGED && other != NULL)
            value = &other->values[column];
        if (value->kind == VALUE_UNCHANGED || !hash_value(&h, k->columns[i].type_oid, value))
            return false;
        h = hash_bytes(h, &separator, 1);
    }
    *hash = hash_finish(h);
    return true;
}
