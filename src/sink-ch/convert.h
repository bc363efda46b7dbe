/* convert.h: PostgreSQL values to ClickHouse's RowBinary, by the type the destination column really
 * has. Pure: knows no table, no server, no event.
 *
 * Every value is checked here and never left to the server, which answers 300 for an Int8 with 44
 * and a date of 1969 with 0000-00-00 (traps 118, 119, 121). */
#ifndef WALPIPE_SINKCH_CONVERT_H
#define WALPIPE_SINKCH_CONVERT_H

#include "lib/buf.h"
#include "lib/cursor.h"
#include "sink-ch/chtype.h"

/* What becomes of a value that its column's type can't hold: types(7) says what is clamped how.
 * Malformed values, and NULL in a column that is not Nullable, are errors in any case. */
enum convert_policy {
    CONVERT_ERROR,
    CONVERT_CLAMP, /* the nearest value that fits, where there is one; else an error */
    CONVERT_NULL   /* NULL where the column is Nullable, else an error */
};

/* What the server's date tables know: it differs by version. Days are counted from 1970-01-01. */
struct convert_limits {
    int64_t date_days;                     /* the last one of Date */
    int64_t datetime_seconds;              /* the last one of DateTime, UTC */
    int64_t wide_first_day, wide_last_day; /* Date32 and DateTime64 */
};

extern const struct convert_limits convert_limits_old;    /* 1970 to 2105-12-31 */
extern const struct convert_limits convert_limits_middle; /* before 22.8: 1925 to 2283-11-11 */
extern const struct convert_limits convert_limits_modern; /* 1900 to 2299 */

/* Zero-initialise, then set limits and policy. The rest is working memory. */
struct convert {
    const struct convert_limits *limits;
    enum convert_policy policy;
    struct buf binary;  /* a binary value as text */
    struct buf decoded; /* bytea's bytes */
    struct buf element; /* an array's element without its quotes */
    bool altered;       /* by the policy: the last value is not the source's */
    char reason[256];   /* why the last value could not be written */
};

/* Appends v, a value of the PostgreSQL type oid (a domain's base type), to out as a value of type.
 * -1 with convert->reason; out is then as before. */
int convert_value(struct convert *convert, const struct ch_type *type, uint32_t oid,
                  const struct value *v, struct buf *out) MUST_CHECK;

/* v as text, for messages; valid until the next value. */
struct bytes convert_text(struct convert *convert, uint32_t oid, const struct value *v);

/* n in little-endian, the low width bytes. */
void convert_put(struct buf *out, uint64_t n, uint32_t width);

/* The type's default as ClickHouse fills it in: 0, '', NULL. */
void convert_default(const struct ch_type *type, struct buf *out);

void convert_free(struct convert *convert);

/* What can be said of a pair of types before any value was seen. */
enum convert_verdict {
    CONVERT_FITS,   /* every value fits */
    CONVERT_PARTLY, /* some values may not: *reason says which */
    CONVERT_NEVER   /* *reason says why */
};

enum convert_verdict convert_judge(const struct ch_type *type, uint32_t oid, int32_t typmod,
                                   const char **reason);

/* The name of a built-in type that convert_oid_of knows; "int4[]" of an array. NULL: another. */
const char *convert_type_name(uint32_t oid);

/* The oid of a built-in type by its name, for domains over it; 0: not one this program treats
 * specially. */
uint32_t convert_oid_of(const char *type_name);

#endif
