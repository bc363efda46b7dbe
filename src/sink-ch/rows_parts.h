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

/* Appends a value of the change, converted. */
int rows_put_value(const struct change *change, const struct column *column, const struct value *v,
                   struct buf *out, struct err *err) MUST_CHECK;

/* displaced.c: true when the row that has the old key now came in this transaction and is not the
 * row that this change is about: that one was the key's older row. */
bool displaced_is_about(const struct change *change);

#endif
