/* rangesql.h: the commands that read one range, as one string: the server runs them one after the
 * other without waiting for us. */
#ifndef WALPIPE_PGTABLEREAD_RANGESQL_H
#define WALPIPE_PGTABLEREAD_RANGESQL_H

#include "pg-table-read/order.h"
#include "pg-table-read/session.h"

/* What the SELECT behind the lock answers, in one row. No row: the table has another name now. */
enum range_field {
    RANGE_FIELD_SNAPSHOT,
    RANGE_FIELD_FILE,
    RANGE_FIELD_BLOCKS,
    RANGE_FIELD_INSERT_LSN,
    RANGE_FIELD_DEFINITION,
    RANGE_FIELD_SHAPE
};

/* BEGIN, LOCK, that SELECT, COPY, COMMIT. COPY sends the relation's columns behind the ctid, or, of
 * keys, behind the key's number in the batch, with nulls where no row has the key. publications is
 * a text[] as text. The caller frees it. NULL: out of memory. */
char *rangesql_commands(PGconn *conn, const char *publications, const struct range_order *order);

#endif
