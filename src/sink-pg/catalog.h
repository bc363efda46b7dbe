/* catalog.h: what the target's catalog is asked about a table. */
#ifndef SINK_PG_CATALOG_H
#define SINK_PG_CATALOG_H

#include "sink-pg/session.h"

/* Parameters and columns of the answers: the table's schema and name give its oid and relkind; its
 * oid gives its columns, of COL_..., and the unique indexes that may tell its rows apart, of
 * INDEX_.... */
enum catalog_query { QUERY_TABLE, QUERY_COLUMNS, QUERY_INDEXES };

enum {
    COL_NUMBER,
    COL_NAME,
    COL_TYPE_OID,
    COL_NOT_NULL,
    COL_IDENTITY,
    COL_GENERATED,
    COL_HAS_DEFAULT,
    COL_TEMP_TYPE,
    COL_TYPE,
    COL_TYPE_NAME,
    COL_TYPE_KIND,
    COL_EQUALS,
    COL_OIDS,
    COL_BASE_TYPE_OID,
    COL_BASE_TYPMOD,
    COL_FULL_TYPE
};
enum { INDEX_COLUMNS, INDEX_PRIMARY, INDEX_IMMEDIATE };

/* The caller clears the result. NULL with err. */
PGresult *catalog_ask(struct session *s, enum catalog_query query, const char *const *params,
                      struct err *err);

#endif
