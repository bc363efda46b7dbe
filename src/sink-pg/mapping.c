/* mapping.c: see mapping.h. */
#include "sink-pg/mapping.h"

#include "sink-pg/sqltext.h"

void
mapping_target(const struct tablemap *map, const char *schema, const char *name,
               const char **to_schema, const char **to_name)
{
    const struct table_mapping *m = tablemap_find(map, schema, name);

    *to_schema = m == NULL ? schema : m->to_schema;
    *to_name = m == NULL ? name : m->to_table;
}

void
mapping_target_sql(const struct tablemap *map, const char *schema, const char *name,
                   struct buf *sql)
{
    const char *to_schema, *to_name;

    mapping_target(map, schema, name, &to_schema, &to_name);
    sqltext_name(sql, to_schema);
    sqltext_add(sql, ".");
    sqltext_name(sql, to_name);
}
