/* convert_binary.c: PostgreSQL's binary format (the send functions) to the text format, for the
 * types that are worth it. Layouts: src/backend/utils/adt/ of PostgreSQL, functions *_send. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "sink-ch/convert_parts.h"

#define DAY_MICROS INT64_C(86400000000)

static void put_format(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
put_format(struct buf *out, const char *fmt, ...)
{
    char text[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_append(out, text, strlen(text));
}

/* ---- integers, floats ---- */

static bool
signed_integer(struct cursor *c, size_t width, int64_t *out)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    switch (width) {
    case 2:
        if (!cursor_u16(c, &two))
            return false;
        *out = (int16_t)two;
        return true;
    case 4:
        if (!cursor_u32(c, &four))
            return false;
        *out = (int32_t)four;
        return true;
    default:
        if (!cursor_u64(c, &eight))
            return false;
        *out = (int64_t)eight;
        return true;
    }
}

static bool
put_integer(struct cursor *c, size_t width, struct buf *out)
{
    int64_t n;

    if (!signed_integer(c, width, &n))
        return false;
    put_format(out, "%" PRId64, n);
    return true;
}

/* The fewest digits that read back as the same number, as PostgreSQL writes floats. */
static void
put_shortest(double n, int digits, bool narrow, struct buf *out)
{
    char text[64];

    if (isnan(n) || isinf(n)) {
        put_format(out, "%s", isnan(n) ? "NaN" : n > 0 ? "Infinity" : "-Infinity");
        return;
    }
    for (;; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, n);
        if (narrow ? strtof(text, NULL) == (float)n : strtod(text, NULL) == n)
            break;
    }
    buf_append(out, text, strlen(text));
}

static bool
put_float(struct cursor *c, size_t width, struct buf *out)
{
    uint32_t four;
    uint64_t eight;
    double wide;
    float narrow;

    if (width == 4) {
        if (!cursor_u32(c, &four))
            return false;
        memcpy(&narrow, &four, 4);
        put_shortest((double)narrow, 6, true, out);
        return true;
    }
    if (!cursor_u64(c, &eight))
        return false;
    memcpy(&wide, &eight, 8);
    put_shortest(wide, 15, false, out);
    return true;
}

/* ---- date and time ---- */

/* Days since 1970-01-01 to "YYYY-MM-DD"; *bc says that " BC" must follow, after the time. */
static void
put_day(int64_t days, struct buf *out, bool *bc)
{
    int64_t z = days + 719468; /* days since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t mp = (5 * day_of_year + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);

    *bc = year <= 0;
    put_format(out, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, *bc ? 1 - year : year, month,
               day_of_year - (153 * mp + 2) / 5 + 1);
}

static bool
put_date(struct cursor *c, struct buf *out)
{
    int64_t days;
    bool bc;

    if (!signed_integer(c, 4, &days))
        return false;
    if (days == INT32_MIN || days == INT32_MAX) {
        put_format(out, "%sinfinity", days < 0 ? "-" : "");
        return true;
    }
    put_day(days + POSTGRES_EPOCH / 86400, out, &bc);
    put_format(out, "%s", bc ? " BC" : "");
    return true;
}

static bool
put_timestamp(struct cursor *c, bool with_zone, struct buf *out)
{
    int64_t micros, days, seconds, fraction;
    char digits[16];
    bool bc;

    if (!signed_integer(c, 8, &micros))
        return false;
    if (micros == INT64_MIN || micros == INT64_MAX) {
        put_format(out, "%sinfinity", micros < 0 ? "-" : "");
        return true;
    }
    days = micros / DAY_MICROS - (micros % DAY_MICROS < 0);
    micros = (micros % DAY_MICROS + DAY_MICROS) % DAY_MICROS;
    seconds = micros / 1000000;
    fraction = micros % 1000000;
    put_day(days + POSTGRES_EPOCH / 86400, out, &bc);
    put_format(out, " %02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60,
               seconds % 60);
    if (fraction != 0) { /* PostgreSQL leaves out the zeros at the end */
        int n = snprintf(digits, sizeof digits, ".%06" PRId64, fraction);

        while (digits[n - 1] == '0')
            n--;
        buf_append(out, digits, (size_t)n);
    }
    put_format(out, "%s%s", with_zone ? "+00" : "", bc ? " BC" : "");
    return true;
}

/* ---- numeric: ndigits, weight, sign, dscale, then base-10000 digits, 2 bytes each ---- */

#define NUMERIC_NEGATIVE     0x4000
#define NUMERIC_NAN          0xc000
#define NUMERIC_INFINITY     0xd000
#define NUMERIC_NEG_INFINITY 0xf000

/* The base-10000 digit at place `at` counted from the first one; 0 outside of those sent. */
static uint16_t
numeric_digit(struct bytes digits, int64_t at)
{
    if (at < 0 || (uint64_t)at * 2 >= digits.len)
        return 0;
    return (uint16_t)(digits.data[at * 2] << 8 | digits.data[at * 2 + 1]);
}

static void
put_numeric_digits(struct bytes digits, int16_t weight, uint16_t scale, struct buf *out)
{
    char group[16];
    int64_t at = 0;

    if (weight < 0)
        buf_append(out, "0", 1);
    for (; at <= weight; at++)
        put_format(out, at == 0 ? "%u" : "%04u", numeric_digit(digits, at));
    if (scale > 0)
        buf_append(out, ".", 1);
    for (at = weight + 1; scale > 0; at++) {
        size_t n = scale < 4 ? scale : 4;

        snprintf(group, sizeof group, "%04u", numeric_digit(digits, at));
        buf_append(out, group, n);
        scale = (uint16_t)(scale - n);
    }
}

static bool
put_numeric(struct cursor *c, struct buf *out)
{
    uint16_t count, weight, sign, scale;
    struct bytes digits;

    if (!cursor_u16(c, &count) || !cursor_u16(c, &weight) || !cursor_u16(c, &sign) ||
        !cursor_u16(c, &scale) || !cursor_bytes(c, (size_t)count * 2, &digits))
        return false;
    for (int64_t i = 0; i < count; i++)
        if (numeric_digit(digits, i) > 9999)
            return false;
    switch (sign) {
    case NUMERIC_NAN:
        buf_append(out, "NaN", 3);
        return true;
    case NUMERIC_INFINITY:
        buf_append(out, "Infinity", 8);
        return true;
    case NUMERIC_NEG_INFINITY:
        buf_append(out, "-Infinity", 9);
        return true;
    case NUMERIC_NEGATIVE:
        buf_append(out, "-", 1);
        break;
    case 0:
        break;
    default:
        return false;
    }
    put_numeric_digits(digits, (int16_t)weight, scale, out);
    return true;
}

/* ---- the rest ---- */

static bool
put_bool(struct cursor *c, struct buf *out)
{
    uint8_t b;

    if (!cursor_u8(c, &b) || b > 1)
        return false;
    buf_append(out, b == 1 ? "t" : "f", 1);
    return true;
}

/* "char" is one byte; its text format writes a high one as \ooo and none for 0. */
static bool
put_char(struct cursor *c, struct buf *out)
{
    uint8_t b;

    if (!cursor_u8(c, &b))
        return false;
    if (b >= 0x80)
        put_format(out, "\\%03o", b);
    else if (b != 0)
        buf_append(out, &b, 1);
    return true;
}

static bool
put_uuid(struct cursor *c, struct buf *out)
{
    struct bytes b;

    if (!cursor_bytes(c, 16, &b))
        return false;
    for (size_t i = 0; i < b.len; i++)
        put_format(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b.data[i]);
    return true;
}

static bool
put_oid(struct cursor *c, struct buf *out)
{
    uint32_t oid;

    if (!cursor_u32(c, &oid))
        return false;
    put_format(out, "%" PRIu32, oid);
    return true;
}

static bool
put_jsonb(struct cursor *c, struct buf *out)
{
    uint8_t version;

    if (!cursor_u8(c, &version) || version != 1)
        return false;
    buf_append(out, c->at, c->left);
    c->left = 0;
    return true;
}

static bool
put_as_it_is(struct cursor *c, struct buf *out)
{
    buf_append(out, c->at, c->left);
    c->left = 0;
    return true;
}

/* *known says whether the type is one of those read here. */
static bool
put_by_oid(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    switch (oid) {
    case PG_BOOL:
        return put_bool(c, out);
    case PG_INT2:
        return put_integer(c, 2, out);
    case PG_INT4:
        return put_integer(c, 4, out);
    case PG_INT8:
        return put_integer(c, 8, out);
    case PG_FLOAT4:
        return put_float(c, 4, out);
    case PG_FLOAT8:
        return put_float(c, 8, out);
    case PG_OID:
        return put_oid(c, out);
    case PG_CHAR:
        return put_char(c, out);
    case PG_BYTEA:
    case PG_TEXT:
    case PG_VARCHAR:
    case PG_BPCHAR:
    case PG_NAME:
    case PG_JSON:
        return put_as_it_is(c, out);
    case PG_JSONB:
        return put_jsonb(c, out);
    case PG_UUID:
        return put_uuid(c, out);
    case PG_DATE:
        return put_date(c, out);
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        return put_timestamp(c, oid == PG_TIMESTAMPTZ, out);
    case PG_NUMERIC:
        return put_numeric(c, out);
    default:
        *known = false;
        return false;
    }
}

enum convert_status
convert_binary(struct convert *convert, uint32_t oid, struct bytes value)
{
    struct cursor c = cursor_over(value.data, value.len);
    bool known = true, read;

    buf_reset(&convert->decoded, 1u << 20);
    read = put_by_oid(&c, oid, &convert->decoded, &known);
    if (!known)
        return convert_bad(convert,
                           "this program doesn't read the binary format of type oid %" PRIu32
                           "; set binary = off",
                           oid);
    if (!read || c.left != 0)
        return convert_bad(convert, "malformed binary value of type oid %" PRIu32, oid);
    return CONVERT_DONE;
}
