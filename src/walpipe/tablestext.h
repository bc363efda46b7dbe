/* tablestext.h: lists of tables as text or JSON. Knows no server. */
#ifndef WALPIPE_TABLESTEXT_H
#define WALPIPE_TABLESTEXT_H

#include <stdio.h>

#include "lib/json.h"
#include "walpipe/tablelist.h"

/* A line about the sink, then one for each table, for a terminal with a bar for each that is
 * copied. unfinished_only: not for those that are streaming, and for at most 20. */
struct tablestext_how {
    bool bars;
    bool unfinished_only;
};
void tablestext_sink(const struct tablelist *list, struct tablestext_how how, FILE *out);

/* The members of an object that is open. unfinished_only: as above, but all of them. */
void tablestext_json(struct json *j, const struct tablelist *list, bool unfinished_only);

#endif
