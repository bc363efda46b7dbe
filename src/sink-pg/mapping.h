/* mapping.h: --map: which target table a source table goes to when not to the one of its name. */
#ifndef SINK_PG_MAPPING_H
#define SINK_PG_MAPPING_H

#include "lib/base.h"
#include "lib/limits.h"

struct mapping_entry {
    char from_schema[NAME_MAX_BYTES + 1];
    char from_name[NAME_MAX_BYTES + 1];
    char to_schema[NAME_MAX_BYTES + 1];
    char to_name[NAME_MAX_BYTES + 1];
};

/* Zero-initialise to use; may be added to several times. */
struct mapping {
    struct mapping_entry *entries;
    size_t count;
};

/* Adds the entries of text: "a.b -> c.d, ...". A name with another character than letters, digits
 * and _ (or with an upper-case letter that matters) stands in double quotes, as in SQL; names
 * without quotes are folded to lower case. -1 with err. */
int mapping_parse(struct mapping *map, const char *text, struct err *err) MUST_CHECK;

/* Sets *to_schema and *to_name; both are the source's own where no entry is for it. */
void mapping_target(const struct mapping *map, const char *schema, const char *name,
                    const char **to_schema, const char **to_name);

void mapping_free(struct mapping *map);

#endif
