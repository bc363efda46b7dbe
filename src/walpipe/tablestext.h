/* tablestext.h: lists of tables as text or JSON. Knows no server. */
#ifndef WALPIPE_TABLESTEXT_H
#define WALPIPE_TABLESTEXT_H

#include <stdio.h>

#include "lib/json.h"
#include "walpipe/tablelist.h"

/* Prints a line about the sink, then one for each table, with a bar for each that is being copied
 * if the output is a terminal. With unfinished_only, tables that are streaming are left out, and
 * there are at most 20 lines. */
struct tablestext_how {
    bool bars;
    bool unfinished_only;
};
void tablestext_sink(const struct tablelist *list, struct tablestext_how how, FILE *out);

/* Writes the members of an object that is open. unfinished_only as above, but without the limit. */
void tablestext_json(struct json *j, const struct tablelist *list, bool unfinished_only);

#endif
