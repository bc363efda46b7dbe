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

/* What becomes of a value that is too large or too small for its column's type. */
enum convert_policy {
    CONVERT_ERROR,
    CONVERT_CLAMP, /* the nearest value that fits */
    CONVERT_NULL   /* NULL where the column is Nullable, else an error */
};

/* The last values that the server's date tables know: they differ by version. */
struct convert_limits {
    int64_t date_days;        /* of Date, since 1970-01-01 */
    int64_t datetime_seconds; /* of DateTime, since 1970-01-01 UTC */
};

extern const struct convert_limits convert_limits_old;    /* until 2105-12-31 */
extern const struct convert_limits convert_limits_modern; /* all that 16 and 32 bits hold */

/* Zero-initialise, then set limits and policy. The rest is working memory. */
struct convert {
    const struct convert_limits *limits;
    enum convert_policy policy;
    struct buf decoded; /* a binary value as text, bytea as bytes */
    struct buf element; /* an array's element without its quotes */
    char reason[256];   /* why the last value could not be written */
};

/* Appends v, a value of the PostgreSQL type oid (a domain's base type), to out as a value of type.
 * -1 with convert->reason; out is then as before. */
int convert_value(struct convert *convert, const struct ch_type *type, uint32_t oid,
                  const struct value *v, struct buf *out) MUST_CHECK;

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

/* The oid of a built-in type by its name, for domains over it; 0: not one this program treats
 * specially. */
uint32_t convert_oid_of(const char *type_name);

#endif
