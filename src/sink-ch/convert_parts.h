/* convert_parts.h: what the files of the conversion share with each other and with nobody else. */
#ifndef WALPIPE_SINKCH_CONVERT_PARTS_H
#define WALPIPE_SINKCH_CONVERT_PARTS_H

#include "sink-ch/convert.h"

/* oids of PostgreSQL's built-in types, from pg_type.dat; they never change. */
enum pg_oid {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_CHAR = 18,
    PG_NAME = 19,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_OID = 26,
    PG_JSON = 114,
    PG_CIDR = 650,
    PG_FLOAT4 = 700,
    PG_FLOAT8 = 701,
    PG_INET = 869,
    PG_BPCHAR = 1042,
    PG_VARCHAR = 1043,
    PG_DATE = 1082,
    PG_TIMESTAMP = 1114,
    PG_TIMESTAMPTZ = 1184,
    PG_NUMERIC = 1700,
    PG_UUID = 2950,
    PG_JSONB = 3802,
    PG_BOX_ARRAY = 1020
};

#define USER_OID_FIRST 16384 /* FirstNormalObjectId: above are types that somebody created */

enum convert_status { CONVERT_DONE, CONVERT_BELOW, CONVERT_ABOVE, CONVERT_BAD };

/* Sets reason; for `return convert_bad(...)`. */
enum convert_status convert_bad(struct convert *convert, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The element type of a built-in array type; 0: oid is none. */
uint32_t convert_element_oid(uint32_t oid);

/* convert_number.c: text to Int, UInt, Decimal, Float, Bool. BELOW and ABOVE: nothing was written
 * unless policy is CONVERT_CLAMP. */
enum convert_status convert_integer(struct convert *convert, const struct ch_type *type,
                                    struct bytes text, struct buf *out);
enum convert_status convert_float(struct convert *convert, const struct ch_type *type,
                                  struct bytes text, struct buf *out);

/* convert_time.c: text to Date, Date32, DateTime, DateTime64. */
enum convert_status convert_time(struct convert *convert, const struct ch_type *type,
                                 struct bytes text, struct buf *out);

/* convert_binary.c: PostgreSQL's binary format to its text format, in convert->decoded. bytea
 * becomes its bytes. */
enum convert_status convert_binary(struct convert *convert, uint32_t oid, struct bytes value);

#endif
