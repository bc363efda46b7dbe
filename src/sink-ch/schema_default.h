/* schema_default.h: the value of older rows in a column that is added, which becomes its
 * DEFAULT. */
#ifndef WALPIPE_SINKCH_SCHEMA_DEFAULT_H
#define WALPIPE_SINKCH_SCHEMA_DEFAULT_H

#include "sink-ch/table.h"

/* Bytes of a default's text. An expression may be twice as long, and ClickHouse reads statements of
 * 256 KiB (max_query_size). */
#define DEFAULT_TEXT_MAX ((size_t)64 << 10)

/* For the relation's column number `column`, from the source's catalog. With PAST_DEFAULT, "
 * DEFAULT ..." is appended to sql. PAST_ERROR, with err, if the value does not fit the column's
 * type. */
enum past schema_put_default(const struct server *server, const struct options *options,
                             const struct table *table, uint32_t column, struct buf *sql,
                             struct err *err) MUST_CHECK;

#endif
