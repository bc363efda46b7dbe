/* mapping.h: the target table of a source table, which is the one of the same name unless --map
 * names another. */
#ifndef SINK_PG_MAPPING_H
#define SINK_PG_MAPPING_H

#include "lib/buf.h"
#include "lib/tablemap.h"

/* Sets *to_schema and *to_name, which point into map or are schema and name themselves. */
void mapping_target(const struct tablemap *map, const char *schema, const char *name,
                    const char **to_schema, const char **to_name);

/* Appends the target table's name as SQL has it. */
void mapping_target_sql(const struct tablemap *map, const char *schema, const char *name,
                        struct buf *sql);

#endif
