/* convert.h: PostgreSQL values to ClickHouse's RowBinary, by the real type of the destination
 * column. Pure. Knows no table, no server, no event.
 *
 * Every value is checked here and never left to the server. The server turns 300 into 44 for an
 * Int8, and a date of 1969 into 0000-00-00 (traps 118, 119, 121). */
#ifndef WALPIPE_SINKCH_CONVERT_CONVERT_H
#define WALPIPE_SINKCH_CONVERT_CONVERT_H

#include "lib/cursor.h"
#include "sink-ch/convert/base.h"
#include "sink-ch/convert/chtype.h"

/* Appends v, a value of the PostgreSQL type oid (a domain's base type), to out as a value of type.
 * Returns -1 with convert->reason, and then out is unchanged. */
int convert_value(struct convert *convert, const struct ch_type *type, uint32_t oid,
                  const struct value *v, struct buf *out) MUST_CHECK;

/* v as text for messages, valid until the next value. */
struct bytes convert_text(struct convert *convert, uint32_t oid, const struct value *v);

/* The type's default as ClickHouse fills it in, which is 0, '' or NULL. */
void convert_default(const struct ch_type *type, struct buf *out);

#endif
