/* mapping.h: where a source table goes: --map, and the rule where nothing is mapped. */
#ifndef WALPIPE_SINKCH_MAPPING_H
#define WALPIPE_SINKCH_MAPPING_H

#include "lib/tablemap.h"

/* Where one source table goes. */
struct target_name {
    char database[TARGET_NAME_MAX + 1];
    char table[TARGET_NAME_MAX + 1];
};

/* s.t by the map; otherwise public.t goes to t, s.t to s_t, in `database`. -1: the name is too
 * long. */
int mapping_target(const struct tablemap *map, const char *database, const char *schema,
                   const char *table, struct target_name *target) MUST_CHECK;

#endif
