/* tablefilter.h: the tables that a sink takes, as in "public.*, !public.audit" (names.h has the
 * grammar). No pattern with ! may match the table. If there are patterns without !, one of these
 * must match. */
#ifndef WALPIPE_TABLEFILTER_H
#define WALPIPE_TABLEFILTER_H

#include "lib/names.h"

/* Zero-initialise to use. May be added to several times. */
struct tablefilter {
    struct table_pattern *patterns;
    size_t count;
};

/* Adds the patterns of list. Returns -1 with err for a malformed one. */
int tablefilter_add(struct tablefilter *filter, const char *list, struct err *err) MUST_CHECK;

bool tablefilter_takes(const struct tablefilter *filter, const char *schema, const char *table);

void tablefilter_free(struct tablefilter *filter);

#endif
