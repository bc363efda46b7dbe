/* mapping.h: the target of a source table, by --map or by the rule for unmapped tables. */
#ifndef WALPIPE_SINKCH_MAPPING_H
#define WALPIPE_SINKCH_MAPPING_H

#include "lib/tablemap.h"

/* The target of one source table. */
struct target_name {
    char database[TARGET_NAME_MAX + 1];
    char table[TARGET_NAME_MAX + 1];
};

/* The map decides for s.t. Otherwise public.t goes to t, and s.t to s_t, in `database`. Returns -1
 * if the name is too long. */
int mapping_target(const struct tablemap *map, const char *database, const char *schema,
                   const char *table, struct target_name *target) MUST_CHECK;

#endif
