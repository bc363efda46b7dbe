/* mapping.h: where a source table goes: --map, and the rule where nothing is mapped. */
#ifndef WALPIPE_SINKCH_MAPPING_H
#define WALPIPE_SINKCH_MAPPING_H

#include "lib/base.h"

#define TARGET_NAME_MAX 255 /* of a database or table: it is a file name too */

/* Where one source table goes. */
struct target_name {
    char database[TARGET_NAME_MAX + 1];
    char table[TARGET_NAME_MAX + 1];
};

struct mapping {
    char source[132]; /* "schema.table" */
    struct target_name target;
};

/* Zero-initialise. */
struct mappings {
    struct mapping *items;
    size_t count;
};

/* Adds "a.b -> c.d, e.f -> g": the target's database is --database where none is given. */
int mapping_add(struct mappings *mappings, const char *text, struct err *err) MUST_CHECK;

/* s.t by the mappings; else public.t goes to t, s.t to s_t, in `database`. -1: the name is too
 * long. */
int mapping_target(const struct mappings *mappings, const char *database, const char *schema,
                   const char *table, struct target_name *target) MUST_CHECK;

void mapping_free(struct mappings *mappings);

#endif
