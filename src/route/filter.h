/* filter.h: which tables a sink takes: "public.*, !public.audit".
 *
 * A pattern is schema.table, each part a name or a name with * for any run of characters; a part
 * with other characters than letters, digits, _, $ and * is written in double quotes, in which ""
 * is a quote and * is only itself. A ! in front excludes. A table is taken when a pattern without !
 * matches it, or there is none of these, and no pattern with ! does. */
#ifndef WALPIPE_FILTER_H
#define WALPIPE_FILTER_H

#include "lib/base.h"

struct filter_pattern;

struct filter {
    struct filter_pattern *patterns;
    size_t count;
};

/* Adds the comma-separated patterns of list. -1 with err for a malformed one. */
int filter_parse(struct filter *filter, const char *list, struct err *err) MUST_CHECK;

bool filter_takes(const struct filter *filter, const char *schema, const char *table);

void filter_free(struct filter *filter);

#endif
