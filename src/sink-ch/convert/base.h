/* base.h: declarations that every conversion uses. They are limits, policy, the reason of a
 * refusal, and functions that put numbers into RowBinary. Knows no type of either side. */
#ifndef WALPIPE_SINKCH_CONVERT_BASE_H
#define WALPIPE_SINKCH_CONVERT_BASE_H

#include "lib/buf.h"

/* The policy for a value that its column's type cannot hold. types(7) lists how each type is
 * clamped. Malformed values, and NULL in a column that is not Nullable, are errors in any case. */
enum convert_policy {
    CONVERT_ERROR,
    CONVERT_CLAMP, /* the nearest value that fits, an error if there is none */
    CONVERT_NULL   /* NULL if the column is Nullable, otherwise an error */
};

/* The range of the server's date tables, which differs by version. Days are counted from
 * 1970-01-01. */
struct convert_limits {
    int64_t date_days;                     /* the last one of Date */
    int64_t datetime_seconds;              /* the last one of DateTime, UTC */
    int64_t wide_first_day, wide_last_day; /* Date32 and DateTime64 */
};

extern const struct convert_limits convert_limits_old;    /* 1970 to 2105-12-31 */
extern const struct convert_limits convert_limits_middle; /* before 22.8, from 1925 to 2283-11-11 */
extern const struct convert_limits convert_limits_modern; /* 1900 to 2299 */

/* Zero-initialise, then set limits and policy. The rest is working memory. */
struct convert {
    const struct convert_limits *limits;
    enum convert_policy policy;
    bool key;           /* of a row, whose different values must stay different */
    struct buf binary;  /* a binary value as text */
    struct buf decoded; /* bytea's bytes */
    struct buf element; /* an array's element without its quotes */
    bool altered;       /* by the policy, so that the last value is not the source's */
    char reason[256];   /* why the last value could not be written */
};

void convert_free(struct convert *convert);

enum convert_status {
    CONVERT_DONE,
    CONVERT_MISFIT, /* the column cannot hold the value, and the policy decides */
    CONVERT_BAD     /* not a value of its own type, or one that no policy can change */
};

/* Sets reason. For `return convert_bad(...)`. */
enum convert_status convert_bad(struct convert *convert, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum convert_status convert_misfit(struct convert *convert, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Returns true if a value that does not fit is to become the nearest one that does. Then it counts
 * as altered. */
bool convert_may_clamp(struct convert *convert);

/* n in little-endian, the low width bytes. */
void convert_put(struct buf *out, uint64_t n, uint32_t width);

/* RowBinary's length prefix. */
void convert_put_length(struct buf *out, uint64_t n);

/* printf to out, of at most 127 bytes. */
void convert_put_format(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
