/* rows_value.h: converts one value of a change to the type of its column. */
#ifndef WALPIPE_SINKCH_ROWS_VALUE_H
#define WALPIPE_SINKCH_ROWS_VALUE_H

#include "sink-ch/state.h"

/* A row event with the data derived from it. */
struct change {
    struct worker *worker;
    struct table *table;
    const struct row_event *row;
    struct bytes old_key; /* of an update or delete with an old row, otherwise with len 0 */
};

/* The column's value in the row, or in the old row if the new one lacks it. */
const struct value *rows_value_of(const struct row_event *row, const struct tuple *tuple,
                                  const struct column *column);

/* Appends v, the column's value in the tuple of the change, converted. */
int rows_put_value(const struct change *change, const struct tuple *tuple, struct column *column,
                   const struct value *v, struct buf *out, struct err *err) MUST_CHECK;

#endif
