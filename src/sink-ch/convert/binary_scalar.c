/* binary_scalar.c: PostgreSQL's binary format (the send functions) to the text format that the type
 * has under the settings of events(7). The layouts are those of the functions *_send in
 * src/backend/utils/adt/ of PostgreSQL. */
#include "sink-ch/convert/binary_scalar.h"

#include <arpa/inet.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pgtype.h"
#include "sink-ch/convert/base.h"

/* ---- integers, floats ---- */

bool
convert_binary_integer(struct cursor *c, size_t width, int64_t *out)
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
    char text[sizeof "-9223372036854775808"], *at = text + sizeof text;
    uint64_t rest;
    int64_t n;

    if (!convert_binary_integer(c, width, &n))
        return false;
    /* by hand, because printf takes ten times as long, for every integer of every row */
    rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (n < 0)
        *--at = '-';
    buf_append(out, at, (size_t)(text + sizeof text - at));
    return true;
}

/* Writes the fewest digits that read back as the same number, like PostgreSQL. It uses an exponent
 * below -4 and from 15 (float4 from 6) on. */
static void
put_shortest(double n, int digits, bool narrow, struct buf *out)
{
    int fixed_below = digits, exponent;
    char text[64], *e, *end;

    if (isnan(n) || isinf(n)) {
        convert_put_format(out, "%s", isnan(n) ? "NaN" : n > 0 ? "Infinity" : "-Infinity");
        return;
    }
    if (fabs(n) < (narrow ? (double)FLT_MIN : DBL_MIN))
        digits = 1; /* so small that it has fewer */
    for (;; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, n);
        if (narrow ? strtof(text, NULL) == (float)n : strtod(text, NULL) == n)
            break;
    }
    e = strchr(text, 'e');
    exponent = (int)strtol(e + 1, NULL, 10);
    for (end = e; digits > 1 && end[-1] == '0'; end--)
        digits--;
    if (end[-1] == '.')
        end--;
    if (exponent < -4 || exponent >= fixed_below)
        convert_put_format(out, "%.*se%c%02d", (int)(end - text), text, exponent < 0 ? '-' : '+',
                           abs(exponent));
    else
        convert_put_format(out, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, n);
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

/* ---- numeric, which is ndigits, weight, sign, dscale, then base-10000 digits, 2 bytes each
 * ---- */

#define NUMERIC_NEGATIVE     0x4000
#define NUMERIC_NAN          0xc000
#define NUMERIC_INFINITY     0xd000
#define NUMERIC_NEG_INFINITY 0xf000

/* The base-10000 digit at place `at` counted from the first one, or 0 outside of those sent. */
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
        convert_put_format(out, at == 0 ? "%u" : "%04u", numeric_digit(digits, at));
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

/* "char" is one byte. Its text format writes a high one as \ooo and an empty text for 0. */
static bool
put_char(struct cursor *c, struct buf *out)
{
    uint8_t b;

    if (!cursor_u8(c, &b))
        return false;
    if (b >= 0x80)
        convert_put_format(out, "\\%03o", b);
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
        convert_put_format(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                           b.data[i]);
    return true;
}

static bool
put_oid(struct cursor *c, struct buf *out)
{
    uint32_t oid;

    if (!cursor_u32(c, &oid))
        return false;
    convert_put_format(out, "%" PRIu32, oid);
    return true;
}

/* The binary format that is the text behind a version byte. */
static bool
put_versioned(struct cursor *c, struct buf *out)
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

/* family (2, 3), bits, is_cidr, length, address */
static bool
put_inet(struct cursor *c, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t family, bits, is_cidr, len, size;
    struct bytes address;

    if (!cursor_u8(c, &family) || !cursor_u8(c, &bits) || !cursor_u8(c, &is_cidr) ||
        !cursor_u8(c, &len) || family < 2 || family > 3)
        return false;
    size = family == 2 ? 4 : 16;
    if (len != size || bits > size * 8 || !cursor_bytes(c, len, &address))
        return false;
    inet_ntop(family == 2 ? AF_INET : AF_INET6, address.data, text, sizeof text);
    convert_put_format(out, "%s", text);
    if (is_cidr != 0 || bits != size * 8)
        convert_put_format(out, "/%u", bits);
    return true;
}

static bool
put_macaddr(struct cursor *c, struct buf *out)
{
    if (c->left != 6 && c->left != 8)
        return false;
    for (const char *separator = ""; c->left > 0; c->at++, c->left--, separator = ":")
        convert_put_format(out, "%s%02x", separator, *c->at);
    return true;
}

/* Cents, under lc_monetary C. */
static bool
put_money(struct cursor *c, struct buf *out)
{
    char digits[32];
    int64_t cents;
    uint64_t n;
    int len;

    if (!convert_binary_integer(c, 8, &cents))
        return false;
    n = cents < 0 ? 0 - (uint64_t)cents : (uint64_t)cents;
    len = snprintf(digits, sizeof digits, "%" PRIu64, n / 100);
    convert_put_format(out, "%s$", cents < 0 ? "-" : "");
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf_append(out, ",", 1);
        buf_append(out, &digits[i], 1);
    }
    convert_put_format(out, ".%02u", (unsigned)(n % 100));
    return true;
}

static bool
put_bits(struct cursor *c, struct buf *out)
{
    uint32_t count;

    if (!cursor_u32(c, &count) || c->left != ((size_t)count + 7) / 8)
        return false;
    for (uint32_t i = 0; i < count; i++)
        buf_append(out, (c->at[i / 8] >> (7 - i % 8) & 1) != 0 ? "1" : "0", 1);
    c->left = 0;
    return true;
}

static bool
put_unsigned(struct cursor *c, struct buf *out)
{
    uint64_t n;

    if (!cursor_u64(c, &n))
        return false;
    convert_put_format(out, "%" PRIu64, n);
    return true;
}

static bool
put_lsn(struct cursor *c, struct buf *out)
{
    uint64_t lsn;

    if (!cursor_u64(c, &lsn))
        return false;
    convert_put_format(out, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
    return true;
}

/* ---- by type ---- */

static bool
put_less_common(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    switch (oid) {
    case PG_INET:
    case PG_CIDR:
        return put_inet(c, out);
    case PG_MACADDR:
    case PG_MACADDR8:
        return put_macaddr(c, out);
    case PG_MONEY:
        return put_money(c, out);
    case PG_BIT:
    case PG_VARBIT:
        return put_bits(c, out);
    case PG_XID8:
        return put_unsigned(c, out);
    case PG_LSN:
        return put_lsn(c, out);
    default:
        *known = false;
        return false;
    }
}

bool
convert_binary_scalar(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
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
    case PG_XID:
    case PG_CID:
        return put_oid(c, out);
    case PG_CHAR:
        return put_char(c, out);
    case PG_BYTEA:
    case PG_TEXT:
    case PG_VARCHAR:
    case PG_BPCHAR:
    case PG_NAME:
    case PG_JSON:
    case PG_XML:
        return put_as_it_is(c, out);
    case PG_JSONB:
    case PG_JSONPATH:
        return put_versioned(c, out);
    case PG_UUID:
        return put_uuid(c, out);
    case PG_NUMERIC:
        return put_numeric(c, out);
    default:
        return put_less_common(c, oid, out, known);
    }
}
