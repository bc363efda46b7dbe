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
    PG_XID = 28,
    PG_CID = 29,
    PG_JSON = 114,
    PG_XML = 142,
    PG_POINT = 600,
    PG_LSEG = 601,
    PG_PATH = 602,
    PG_BOX = 603,
    PG_POLYGON = 604,
    PG_LINE = 628,
    PG_CIDR = 650,
    PG_FLOAT4 = 700,
    PG_FLOAT8 = 701,
    PG_CIRCLE = 718,
    PG_MACADDR8 = 774,
    PG_MONEY = 790,
    PG_MACADDR = 829,
    PG_INET = 869,
    PG_BOX_ARRAY = 1020,
    PG_BPCHAR = 1042,
    PG_VARCHAR = 1043,
    PG_DATE = 1082,
    PG_TIME = 1083,
    PG_TIMESTAMP = 1114,
    PG_TIMESTAMPTZ = 1184,
    PG_INTERVAL = 1186,
    PG_TIMETZ = 1266,
    PG_BIT = 1560,
    PG_VARBIT = 1562,
    PG_NUMERIC = 1700,
    PG_UUID = 2950,
    PG_LSN = 3220,
    PG_JSONB = 3802,
    PG_JSONPATH = 4072,
    PG_XID8 = 5069
};

#define USER_OID_FIRST 16384 /* FirstNormalObjectId: above are types that somebody created */

enum convert_status {
    CONVERT_DONE,
    CONVERT_MISFIT, /* a value the column can't hold: the policy decides */
    CONVERT_BAD     /* not a value of its own type, or one that no policy can change */
};

/* Set reason; for `return convert_bad(...)`. */
enum convert_status convert_bad(struct convert *convert, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum convert_status convert_misfit(struct convert *convert, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* True when a value that does not fit is to become the nearest one that does; then it counts as
 * altered. */
bool convert_may_clamp(struct convert *convert);

/* The element type of a built-in array type; 0: oid is none. */
uint32_t convert_element_oid(uint32_t oid);

/* One value in text format, its Nullable flag included; the policy is applied. */
enum convert_status convert_nullable(struct convert *convert, const struct ch_type *type,
                                     uint32_t oid, struct bytes text, struct buf *out);

/* RowBinary's length prefix. */
void convert_put_length(struct buf *out, uint64_t n);

/* convert_number.c: text to Int, UInt, Decimal. */
enum convert_status convert_integer(struct convert *convert, const struct ch_type *type,
                                    struct bytes text, struct buf *out);

/* convert_float.c: text to Float; and a number's parts, which stand in its text: digits, perhaps a
 * point and digits, perhaps an exponent. */
struct number {
    struct bytes whole, fraction; /* digits; at least one of the two has some */
    int64_t exponent;
    bool negative;
};

enum number_word { NUMBER_PLAIN, NUMBER_NAN, NUMBER_INFINITY, NUMBER_NEG_INFINITY };

enum convert_status convert_float(struct convert *convert, const struct ch_type *type,
                                  struct bytes text, struct buf *out);
bool number_scan(struct bytes text, struct number *n) MUST_CHECK;
enum number_word number_word(struct bytes text);

/* Of whole and fraction together, counted from 0. */
static inline unsigned
number_digit(const struct number *n, size_t i)
{
    uint8_t c = i < n->whole.len ? n->whole.data[i] : n->fraction.data[i - n->whole.len];

    return c - (unsigned)'0';
}

/* convert_time.c: text to Date, Date32, DateTime, DateTime64. */
enum convert_status convert_time(struct convert *convert, const struct ch_type *type,
                                 struct bytes text, struct buf *out);

/* convert_array.c: PostgreSQL's array text to Array. */
enum convert_status convert_array(struct convert *convert, const struct ch_type *type, uint32_t oid,
                                  struct bytes text, struct buf *out);

/* convert_json.c: json text to a JSON column, which takes it as a String. */
enum convert_status convert_json(struct convert *convert, struct bytes text, struct buf *out);

/* convert_binary.c: PostgreSQL's binary format to its text format, in convert->binary. bytea
 * becomes its bytes. */
enum convert_status convert_binary(struct convert *convert, uint32_t oid, struct bytes value);

/* One value, appended to out; false with *known unchanged: malformed. */
bool convert_binary_part(struct cursor *c, uint32_t oid, struct buf *out, bool *known);

/* Two's complement of 2, 4 or 8 bytes. */
bool convert_binary_integer(struct cursor *c, size_t width, int64_t *out) MUST_CHECK;

void convert_put_format(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* convert_binary_time.c: the same for date, time and timestamp types and interval. */
bool convert_binary_time(struct cursor *c, uint32_t oid, struct buf *out);

/* convert_compound.c: the same for values that are made of others. oid: of the array; of a range's
 * bounds; of the drawing. */
bool convert_binary_array(struct cursor *c, uint32_t oid, struct buf *out, bool *known);
bool convert_binary_range(struct cursor *c, uint32_t oid, struct buf *out, bool *known);
bool convert_binary_multirange(struct cursor *c, uint32_t oid, struct buf *out, bool *known);
bool convert_binary_drawing(struct cursor *c, uint32_t oid, struct buf *out);

#endif
