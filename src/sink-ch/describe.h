/* describe.h: reads ClickHouse's description of one of its tables. Judges nothing. */
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
    char *engine_full; /* with its arguments, and the clauses behind them */
    char *sorting_key;
    struct described_column *columns;
    size_t count;
};

/* Engine and sorting key of the table's target. Returns 0, 1 if there is no such table, or -1 with
 * err. */
int describe_table(struct server *server, const struct table *table, struct described *described,
                   struct err *err) MUST_CHECK;

/* Its columns. Returns 0, or -1 with err. */
int describe_columns(struct server *server, const struct table *table, struct described *described,
                     struct err *err) MUST_CHECK;

/* The same as bytes, in server->answer. */
int describe_ask_columns(struct server *server, const struct table *table,
                         struct err *err) MUST_CHECK;

/* "(id)" becomes "id", as other servers report it. */
void describe_strip_parentheses(char *expression);

/* The expression behind PARTITION BY, to be freed. It is "" if there is none, and NULL when memory
 * is out. */
char *describe_partition_by(const struct described *described);

/* Returns NULL if there is no such column. */
const struct described_column *described_find(const struct described *described, const char *name);

/* Whether the unparsed answer of system.columns has a column of that name. */
bool described_has(const struct buf *answer, const char *name);

void described_free(struct described *described);

#endif
