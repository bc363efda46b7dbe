/* mapping.c: see mapping.h. */
#include "sink-ch/mapping.h"

#include <stdio.h>
#include <string.h>

static bool
put(char out[TARGET_NAME_MAX + 1], const char *schema, const char *separator, const char *name)
{
    int n = snprintf(out, TARGET_NAME_MAX + 1, "%s%s%s", schema, separator, name);

    return n >= 0 && n <= TARGET_NAME_MAX;
}

int
mapping_target(const struct tablemap *map, const char *database, const char *schema,
               const char *table, struct target_name *target)
{
    const struct table_mapping *m = tablemap_find(map, schema, table);
    bool fits;

    if (m != NULL)
        fits = put(target->database, "", "", m->to_schema[0] != '\0' ? m->to_schema : database) &&
               put(target->table, "", "", m->to_table);
    else if (strcmp(schema, "public") == 0)
        fits = put(target->database, "", "", database) && put(target->table, "", "", table);
    else
        fits = put(target->database, "", "", database) && put(target->table, schema, "_", table);
    return fits ? 0 : -1;
}
