/* shape.h: the types that a table's rows were encoded for. RowBinary does not say them, so a server
 * reads the bytes by whatever types its columns have by then: a Decimal(18, 4) as a Decimal(18, 2),
 * or 17 rows of one length as 21 of another. Newer servers compare types that stand before the
 * rows; older ones are asked before the rows go and before they are confirmed. */
#ifndef WALPIPE_SINKCH_SHAPE_H
#define WALPIPE_SINKCH_SHAPE_H

#include "sink-ch/describe.h"

enum shape_answer {
    SHAPE_SAME,
    SHAPE_CHANGED,
    SHAPE_ERROR /* with err */
};

/* Fills table->shape by table->columns, version and deleted column. -1 with err: out of memory. */
int shape_make(struct table *table, const struct options *options,
               const struct described *described, struct err *err) MUST_CHECK;

/* What stands before the rows of an insert; empty where the server does not compare it. */
struct bytes shape_header(const struct server *server, const struct table *table);

/* Appends the names of the columns that rows are written to, separated by commas. */
void shape_put_names(const struct table *table, const struct options *options, struct buf *sql);

/* Whether the columns still have their types. Asks only a server that does not compare a header. */
enum shape_answer shape_look(struct server *server, const struct table *table,
                             const struct options *options, struct err *err) MUST_CHECK;

#endif
