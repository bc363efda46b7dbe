/* renames.h: gives tables, sequences and indexes in SQL the names that they have in the target. */
#ifndef WALPIPE_RENAMES_H
#define WALPIPE_RENAMES_H

#include "walpipe/pool.h"

struct rename_entry {
    const char *schema, *name; /* in the source */
    const char *to;            /* in the target, "schema.name", quoted as SQL needs it */
};

/* Zero-initialise to use. */
struct renames {
    struct rename_entry *entries;
    size_t count;
};

/* Sorts the entries. Call it before renames_in. */
void renames_sort(struct renames *renames);

/* The text sql with the names replaced, also in strings that name a relation, as in
 * nextval('public.s'::regclass). Names in other strings and in the bodies of functions stay. */
const char *renames_in(const struct renames *renames, const char *sql, struct pool *pool);

#endif
