/* relations.c: see relations.h. */
#include "pgout-decode/relations.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/hash.h"

struct known_type {
    const char *schema;
    const char *name;
    char text[]; /* both, each with its NUL */
};

int
relations_learn_type(struct relations *r, const struct pgoutput_type *type)
{
    size_t schema_size = strlen(type->schema) + 1, name_size = strlen(type->name) + 1;
    struct known_type *known = malloc(sizeof *known + schema_size + name_size);
    void *replaced;

    if (known == NULL)
        return -1;
    memcpy(known->text, type->schema, schema_size);
    memcpy(known->text + schema_size, type->name, name_size);
    known->schema = known->text;
    known->name = known->text + schema_size;
    if (relmap_put(&r->types, type->oid, known, &replaced) != 0) {
        free(known);
        return -1;
    }
    free(replaced);
    return 0;
}

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

static void
name_types(const struct relations *r, struct pgoutput_relation *relation)
{
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        struct relation_column *column = &relation->columns[i];
        const struct known_type *type = relmap_get(&r->types, column->type_oid);

        column->type_schema = type == NULL ? "" : type->schema;
        column->type_name = type == NULL ? "" : type->name;
    }
}

int
relations_learn(struct relations *r, struct pgoutput_relation *relation)
{
    size_t hash_size = relation->columns_count * sizeof(struct hash_column);
    struct known_relation *known =
        malloc(sizeof *known + hash_size + relation->columns_count * sizeof *known->key);
    void *replaced;

    if (known == NULL)
        return -1;
    name_types(r, relation);
    snprintf(known->label, sizeof known->label, "%s.%s", relation->schema, relation->name);
    known->full = relation->replica_identity == 'f';
    known->columns_count = relation->columns_count;
    known->key = (uint16_t *)((char *)known->hash_columns + hash_size);
    known->key_count = 0;
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            known->key[known->key_count++] = (uint16_t)i;
    known->hash_start = hash_relid(relation->relid);
    known->hash_columns_count = 0;
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (enters_hash(relation->replica_identity, &relation->columns[i]))
            known->hash_columns[known->hash_columns_count++] = (struct hash_column){
                .column = (uint16_t)i, .type_oid = relation->columns[i].type_oid};
    if (relmap_put(&r->tables, relation->relid, known, &replaced) != 0) {
        free(known);
        return -1;
    }
    free(replaced);
    return 0;
}

const struct known_relation *
relations_find(const struct relations *r, uint32_t relid)
{
    return relmap_get(&r->tables, relid);
}

static void
free_values(struct relmap *map)
{
    size_t at = 0;
    void *value;

    while ((value = relmap_next(map, &at)) != NULL)
        free(value);
    relmap_free(map);
}

void
relations_free(struct relations *r)
{
    free_values(&r->tables);
    free_values(&r->types);
}

bool
relations_key_hash(const struct known_relation *known, const struct tuple *row,
                   const struct tuple *other, uint64_t *hash)
{
    static const uint8_t separator = 0;
    uint64_t h = known->hash_start;

    for (uint32_t i = 0; i < known->hash_columns_count; i++) {
        uint16_t column = known->hash_columns[i].column;
        const struct value *value = &row->values[column];

        if (value->kind == VALUE_UNCHANGED && other != NULL)
            value = &other->values[column];
        if (value->kind == VALUE_UNCHANGED ||
            !hash_value(&h, known->hash_columns[i].type_oid, value))
            return false;
        h = hash_bytes(h, &separator, 1);
    }
    *hash = hash_finish(h);
    return true;
}
