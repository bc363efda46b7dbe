/* tablefilter.h: which tables a sink takes: "public.*, !public.audit" (names.h has the grammar). A
 * table is taken when a pattern without ! matches it, or there is none of these, and no pattern
 * with ! does. */
#ifndef WALPIPE_TABLEFILTER_H
#define WALPIPE_TABLEFILTER_H

#include "lib/names.h"

/* Zero-initialise to use; may be added to several times. */
struct tablefilter {
    struct table_pattern *patterns;
    size_t count;
};

/* Adds the patterns of list. -1 with err for a malformed one. */
int tablefilter_add(struct tablefilter *filter, const char *list, struct err *err) MUST_CHECK;

bool tablefilter_takes(const struct tablefilter *filter, const char *schema, const char *table);

void tablefilter_free(struct tablefilter *filter);

#endif
