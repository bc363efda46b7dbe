/* shape.h: the types that a table's rows were encoded for. RowBinary does not contain them. So a
 * server reads the bytes by the types that its columns have at that time. It may take a Decimal(18,
 * 4) for a Decimal(18, 2), or 17 rows of one length for 21 of another. Newer servers compare types
 * that are sent before the rows. Older ones are asked before the rows go and before they are
 * confirmed. */
#ifndef WALPIPE_SINKCH_SHAPE_H
#define WALPIPE_SINKCH_SHAPE_H

#include "sink-ch/describe.h"

enum shape_answer {
    SHAPE_SAME,
    SHAPE_CHANGED,
    SHAPE_ERROR /* with err */
};

/* Fills table->shape from table->columns, version and deleted column. Returns -1 with err when
 * memory is out. */
int shape_make(struct table *table, const struct options *options,
               const struct described *described, struct err *err) MUST_CHECK;

/* The bytes before the rows of an insert, empty if the server does not compare them. */
struct bytes shape_header(const struct server *server, const struct table *table);

/* Appends the names of the columns that rows are written to, separated by commas. */
void shape_put_names(const struct table *table, const struct options *options, struct buf *sql);

/* Whether the columns still have their types. Asks only a server that does not compare a header. */
enum shape_answer shape_look(struct server *server, const struct table *table,
                             const struct options *options, struct err *err) MUST_CHECK;

#endif
