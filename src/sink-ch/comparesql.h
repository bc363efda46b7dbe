/* comparesql.h: the queries by which walpipe compare reads a table of ClickHouse. They return the
 * same hashes as those for PostgreSQL (docs/design.md). Sends nothing. */
#ifndef WALPIPE_SINKCH_COMPARESQL_H
#define WALPIPE_SINKCH_COMPARESQL_H

#include "lib/canon.h"
#include "sink-ch/table.h"

enum compare_kind { COMPARE_SUM, COMPARE_BUCKETS, COMPARE_LIST, COMPARE_ROWS };

struct compare_table {
    struct table *table;
    const char *deleted_column, *version_column;
    enum canon *canons; /* of table->columns */
    bool keyed;
};

/* A question about the rows of a range. Texts are NULL if they are not given, and otherwise as the
 * request has them. */
struct compare_question {
    enum compare_kind kind;
    const struct column *column; /* of the range, an integer or a String, NULL if none */
    const char *from;            /* the range begins behind this value */
    const char *to;              /* and ends with it */
    const char *count;           /* of buckets */
    const char *buckets;         /* numbers separated by commas */
    const char *hashes;          /* of keys, in the same form */
    char **values;               /* of the column in these keys */
    size_t values_count;
};

void comparesql_put(const struct compare_table *table, const struct compare_question *question,
                    struct buf *sql);

#endif
