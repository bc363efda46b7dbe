/* tablemap.c: see tablemap.h. */
#include "lib/tablemap.h"

#include <stdlib.h>
#include <string.h>

static int
check_entry(const struct tablemap *map, const struct table_mapping *m, enum tablemap_target target,
            struct err *err)
{
    if (tablemap_find(map, m->schema, m->table) != NULL) {
        err_set(err, EXIT_REFUSED, "table %s.%s is listed twice", m->schema, m->table);
        return err_hint(err, "a table goes to one target table: remove one of the two");
    }
    if (target == TABLEMAP_ANY)
        return 0;
    if (m->to_schema[0] == '\0') {
        err_set(err, EXIT_REFUSED, "the target of %s.%s has no schema", m->schema, m->table);
        return err_hint(err, "expected SCHEMA.TABLE -> SCHEMA.TABLE");
    }
    if (strlen(m->to_schema) > NAME_MAX_BYTES || strlen(m->to_table) > NAME_MAX_BYTES)
        return err_set(err, EXIT_REFUSED,
                       "the target of %s.%s has a name that is longer than %d bytes", m->schema,
                       m->table, NAME_MAX_BYTES);
    return 0;
}

int
tablemap_add(struct tablemap *map, const char *list, enum tablemap_target target, struct err *err)
{
    const char *at = list;

    while (at != NULL) {
        struct table_mapping *grown = realloc(map->entries, (map->count + 1) * sizeof *grown);

        if (grown == NULL)
            return err_set(err, EXIT_PEER, "out of memory for table mappings");
        map->entries = grown;
        if (names_next_mapping(&at, &grown[map->count], err) != 0 ||
            check_entry(map, &grown[map->count], target, err) != 0)
            return -1;
        map->count++;
    }
    return 0;
}

const struct table_mapping *
tablemap_find(const struct tablemap *map, const char *schema, const char *table)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->entries[i].schema, schema) == 0 &&
            strcmp(map->entries[i].table, table) == 0)
            return &map->entries[i];
    return NULL;
}

void
tablemap_free(struct tablemap *map)
{
    free(map->entries);
    *map = (struct tablemap){0};
}
