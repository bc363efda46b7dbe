/* relations.c: see relations.h. */
#include "pgout-decode/relations.h"

#include <stdio.h>
#include <stdlib.h>

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

static void
free_relation(struct known_relation *known)
{
    if (known != NULL)
        keyhash_free(&known->hash);
    free(known);
}

int
relations_learn(struct relations *r, struct pgoutput_relation *relation)
{
    struct known_relation *known =
        malloc(sizeof *known + relation->columns_count * sizeof known->key[0]);
    void *replaced;

    if (known == NULL)
        return -1;
    name_types(r, relation);
    snprintf(known->label, sizeof known->label, "%s.%s", relation->schema, relation->name);
    known->full = relation->replica_identity == 'f';
    known->columns_count = relation->columns_count;
    known->key_count = 0;
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            known->key[known->key_count++] = (uint16_t)i;
    if (keyhash_init(&known->hash, relation->relid, relation->replica_identity, relation->columns,
                     relation->columns_count) != 0 ||
        relmap_put(&r->tables, relation->relid, known, &replaced) != 0) {
        free_relation(known);
        return -1;
    }
    free_relation(replaced);
    return 0;
}

const struct known_relation *
relations_find(const struct relations *r, uint32_t relid)
{
    return relmap_get(&r->tables, relid);
}

void
relations_free(struct relations *r)
{
    size_t at = 0;
    void *known;

    while ((known = relmap_next(&r->tables, &at)) != NULL)
        free_relation(known);
    at = 0;
    while ((known = relmap_next(&r->types, &at)) != NULL)
        free(known);
    relmap_free(&r->tables);
    relmap_free(&r->types);
}
