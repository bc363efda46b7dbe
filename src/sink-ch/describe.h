/* describe.h: what ClickHouse says of one of its tables, as it is; judges nothing. */
#ifndef WALPIPE_SINKCH_DESCRIBE_H
#define WALPIPE_SINKCH_DESCRIBE_H

#include "sink-ch/table.h"

/* A row of system.columns. Strings are the struct's own. */
struct described_column {
    char *name;
    char *type;
    char *kind; /* "", DEFAULT, MATERIALIZED, ALIAS, EPHEMERAL */
    bool in_partition_key;
};

/* Zero-initialise to use. */
struct described {
    char *engine;
    char *engine_full; /* with its arguments, and what follows them */
    char *sorting_key;
    struct described_column *columns;
    size_t count;
};

/* Engine and sorting key of the table's target: 0, 1 (there is no such table) or -1 with err. */
int describe_table(struct server *server, const struct table *table, struct described *described,
                   struct err *err) MUST_CHECK;

/* Its columns: 0, or -1 with err. */
int describe_columns(struct server *server, const struct table *table, struct described *described,
                     struct err *err) MUST_CHECK;

/* The same as bytes, in server->answer. */
int describe_ask_columns(struct server *server, const struct table *table,
                         struct err *err) MUST_CHECK;

/* "(id)" becomes "id", as other servers say it. */
void describe_strip_parentheses(char *expression);

/* The expression behind PARTITION BY, to be freed; "": there is none. NULL: out of memory. */
char *describe_partition_by(const struct described *described);

/* NULL: there is no such column. */
const struct described_column *described_find(const struct described *described, const char *name);

/* Whether system.columns' answer, as it came, has a column of that name. */
bool described_has(const struct buf *answer, const char *name);

void described_free(struct described *described);

#endif
