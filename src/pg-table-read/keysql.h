/* keysql.h: SQL that reads the rows of some keys. The server compares them as the identity's index
 * does, because only the server knows its collations. */
#ifndef WALPIPE_PGTABLEREAD_KEYSQL_H
#define WALPIPE_PGTABLEREAD_KEYSQL_H

#include <libpq-fe.h>

#include "pg-table-read/order.h"

/* The condition that a row t of the published table has the key k(c1, c2, ...) of texts. The caller
 * frees it. It is empty if the table has another key now, or is gone. NULL with err. */
char *keysql_match(PGconn *conn, const struct relation *relation, struct err *err) MUST_CHECK;

/* The relation that keys are read from, which is the published table with its partitions. A part
 * without a row of a key proves nothing about the others. The caller frees it. NULL when memory is
 * out. */
char *keysql_from(PGconn *conn, const struct relation *relation, const struct catalog_part *part);

/* Appends the COPY. Failures stick to sql. */
void keysql_append(struct buf *sql, PGconn *conn, const struct range_order *order,
                   const char *from);

/* Appends ", a, b", which are the relation's columns, each behind prefix. */
void keysql_columns(struct buf *sql, PGconn *conn, const struct relation *relation,
                    const char *prefix);

#endif
