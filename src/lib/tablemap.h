/* tablemap.h: the source tables that go to a target table of another name, as in "public.orders ->
 * sales.orders2" (names.h has the grammar). */
#ifndef WALPIPE_TABLEMAP_H
#define WALPIPE_TABLEMAP_H

#include "lib/names.h"

/* Zero-initialise to use. May be added to several times. */
struct tablemap {
    struct table_mapping *entries;
    size_t count;
};

enum tablemap_target {
    TABLEMAP_ANY,       /* "table" or "database.table" */
    TABLEMAP_QUALIFIED, /* "schema.table", as PostgreSQL names them */
};

/* Adds the mappings of list. Returns -1 with err for a malformed one, for a target of another form,
 * and for a source table that the map has already. */
int tablemap_add(struct tablemap *map, const char *list, enum tablemap_target target,
                 struct err *err) MUST_CHECK;

/* Returns NULL if the table is not in the map. */
const struct table_mapping *tablemap_find(const struct tablemap *map, const char *schema,
                                          const char *table);

void tablemap_free(struct tablemap *map);

#endif
