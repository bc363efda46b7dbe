/* rows_parts.h: what the files that turn changes into rows share with each other. */
#ifndef WALPIPE_SINKCH_ROWS_PARTS_H
#define WALPIPE_SINKCH_ROWS_PARTS_H

#include "sink-ch/worker.h"

/* A row event with what is found out about it. */
struct change {
    struct worker *worker;
    struct table *table;
    const struct row_event *row;
    struct bytes old_key; /* of an update or delete with an old row; else len 0 */
};

/* ---- rows_value.c ---- */

/* The column's value in the row, or in the old row where the new one lacks it. */
const struct value *rows_value_of(const struct row_event *row, const struct tuple *tuple,
                                  const struct column *column);

/* Appends v, the column's value in the tuple of the change, converted. */
int rows_put_value(const struct change *change, const struct tuple *tuple, struct column *column,
                   const struct value *v, struct buf *out, struct err *err) MUST_CHECK;

/* ---- displaced.c ---- */

/* True when the row that has the old key now came in this transaction and is not the
 * row that this change is about: that one was the key's older row. */
bool displaced_is_about(const struct change *change);

#endif
