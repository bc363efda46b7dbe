/* rangesql.h: the commands that read one range, as one string. The server runs them one after the
 * other without waiting for us. */
#ifndef WALPIPE_PGTABLEREAD_RANGESQL_H
#define WALPIPE_PGTABLEREAD_RANGESQL_H

#include "pg-table-read/order.h"
#include "pg-table-read/session.h"

/* The columns of the SELECT behind the lock, which returns one row. It returns none if the table
 * has another name now. */
enum range_field {
    RANGE_FIELD_SNAPSHOT,
    RANGE_FIELD_FILE,
    RANGE_FIELD_BLOCKS,
    RANGE_FIELD_INSERT_LSN,
    RANGE_FIELD_DEFINITION,
    RANGE_FIELD_SHAPE
};

/* BEGIN, LOCK, that SELECT, COPY, COMMIT. COPY sends the relation's columns behind the ctid, or
 * each COPY of pieces.h sends the columns alone. For keys they are behind the key's number in the
 * batch, and are null if no row has the key. publications is a text[] as text. The caller frees it.
 * NULL when memory is out. */
char *rangesql_commands(PGconn *conn, const char *publications, const struct range_order *order);

#endif
