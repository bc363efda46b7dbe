/* recode.c: see recode.h. */
#include "sink-pg/recode.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/moment.h"
#include "lib/pgtype.h"

/* From 1970-01-01 to 2000-01-01, PostgreSQL's day 0. */
#define EPOCH_DAYS 10957

/* numeric has groups of four decimal digits (src/backend/utils/adt/numeric.c). */
#define GROUP_DIGITS     4
#define NUMERIC_POSITIVE 0x0000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_HEADER   8
#define NUMERIC_LONGEST  4000

enum recode
recode_of(uint32_t type_oid, char kind)
{
    static const struct {
        uint32_t oid;
        enum recode way;
    } ways[] = {
        {PG_BOOL, RECODE_BOOL},
        {PG_BYTEA, RECODE_BYTEA},
        {PG_INT8, RECODE_INT8},
        {PG_INT2, RECODE_INT2},
        {PG_INT4, RECODE_INT4},
        {PG_TEXT, RECODE_SAME},
        {PG_OID, RECODE_OID},
        {PG_JSON, RECODE_SAME},
        {PG_FLOAT4, RECODE_FLOAT4},
        {PG_FLOAT8, RECODE_FLOAT8},
        {PG_BPCHAR, RECODE_SAME},
        {PG_VARCHAR, RECODE_SAME},
        {PG_DATE, RECODE_DATE},
        {PG_TIMESTAMP, RECODE_TIMESTAMP},
        {PG_TIMESTAMPTZ, RECODE_TIMESTAMP},
        {PG_NUMERIC, RECODE_NUMERIC},
        {PG_UUID, RECODE_UUID},
        {PG_JSONB, RECODE_JSONB},
    };

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (ways[i].oid == type_oid)
            return ways[i].way;
    return kind == 'e' ? RECODE_SAME : RECODE_NONE;
}

/* The value's length and its bytes, big-endian. */
static bool
put(struct buf *out, uint64_t n, uint32_t width)
{
    uint8_t bytes[4 + 8] = {0, 0, 0, (uint8_t)width};
    uint64_t in_order = htobe64(n << 8 * (8 - width));

    memcpy(bytes + 4, &in_order, sizeof in_order);
    buf_append(out, bytes, 4 + width);
    return true;
}

/* below and above are the largest magnitudes with a minus and without. */
static bool
put_integer(struct buf *out, struct bytes text, uint64_t below, uint64_t above, uint32_t width)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    size_t i = negative;
    uint64_t n = 0;

    if (text.len == i || text.len - i > 19)
        return false;
    for (; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');

        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    /* 19 digits do not overflow 64 bits */
    if (n > (negative ? below : above))
        return false;
    return put(out, negative ? ~n + 1 : n, width);
}

static bool
put_float(struct buf *out, struct bytes text, uint32_t width)
{
    char copy[64], *rest;
    union {
        float f;
        uint32_t bits;
    } single;
    union {
        double f;
        uint64_t bits;
    } twice;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    /* This does not round twice, because the shortest text of a float4 is that of its own type. */
    if (width == 4)
        single.f = strtof(copy, &rest);
    else
        twice.f = strtod(copy, &rest);
    if (rest != copy + text.len)
        return false;
    return put(out, width == 4 ? single.bits : twice.bits, width);
}

static bool
are_digits(const uint8_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return true;
}

/* A group of four digits, of which there are count from at. The others are zeros, before or
 * behind. */
static uint16_t
group_of(const uint8_t *at, size_t count, bool behind)
{
    uint32_t n = 0;

    for (size_t i = 0; i < count; i++)
        n = n * 10 + (uint32_t)(at[i] - '0');
    for (size_t i = count; behind && i < GROUP_DIGITS; i++)
        n *= 10;
    return (uint16_t)n;
}

static void
put_u16(uint8_t *at, size_t n)
{
    at[0] = (uint8_t)(n >> 8);
    at[1] = (uint8_t)n;
}

/* -123.4500, as numeric_out writes it. */
static bool
put_numeric(struct buf *out, struct bytes text)
{
    uint8_t bytes[4 + NUMERIC_HEADER + NUMERIC_LONGEST / 2 + 4];
    bool negative = text.len > 0 && text.data[0] == '-';
    const uint8_t *at = text.data + negative, *fraction;
    size_t len = text.len - negative, whole, scale, groups = 0, n;
    const uint8_t *point;
    int weight;

    if (len == 0 || len > NUMERIC_LONGEST)
        return false;
    point = memchr(at, '.', len);
    whole = point == NULL ? len : (size_t)(point - at);
    scale = point == NULL ? 0 : len - whole - 1;
    fraction = at + len - scale;
    if (whole == 0 || (point != NULL && scale == 0) || !are_digits(at, whole) ||
        !are_digits(fraction, scale))
        return false;
    weight = (int)((whole + GROUP_DIGITS - 1) / GROUP_DIGITS) - 1;
    for (size_t done = 0; done < whole; done += n) {
        uint16_t group;

        n = (whole - done - 1) % GROUP_DIGITS + 1;
        group = group_of(at + done, n, false);
        if (groups == 0 && group == 0) {
            weight--;
            continue;
        }
        put_u16(bytes + 4 + NUMERIC_HEADER + 2 * groups++, group);
    }
    for (size_t done = 0; done < scale; done += n) {
        uint16_t group;

        n = scale - done < GROUP_DIGITS ? scale - done : GROUP_DIGITS;
        group = group_of(fraction + done, n, true);
        if (groups == 0 && group == 0) {
            weight--;
            continue;
        }
        put_u16(bytes + 4 + NUMERIC_HEADER + 2 * groups++, group);
    }
    while (groups > 0 && bytes[4 + NUMERIC_HEADER + 2 * groups - 1] == 0 &&
           bytes[4 + NUMERIC_HEADER + 2 * groups - 2] == 0)
        groups--;
    put_u16(bytes, 0);
    put_u16(bytes + 2, NUMERIC_HEADER + 2 * groups);
    put_u16(bytes + 4, groups);
    put_u16(bytes + 6, groups == 0 ? 0 : (size_t)(uint16_t)weight);
    put_u16(bytes + 8, negative && groups > 0 ? NUMERIC_NEGATIVE : NUMERIC_POSITIVE);
    put_u16(bytes + 10, scale);
    buf_append(out, bytes, 4 + NUMERIC_HEADER + 2 * groups);
    return true;
}

static bool
put_moment(struct buf *out, struct bytes text, bool date)
{
    struct moment m;
    int64_t seconds;

    /* A year has four digits here. So nothing overflows, and every value is within PostgreSQL's
     * range. */
    if (text.len < 10 || text.data[4] != '-' || text.data[text.len - 1] == 'C' ||
        (date && text.len != 10) || !moment_read(text, &m) || m.infinity != 0)
        return false;
    seconds = m.seconds - EPOCH_DAYS * MOMENT_DAY;
    if (date)
        return put(out, (uint64_t)(seconds / MOMENT_DAY), 4);
    return put(out, (uint64_t)(seconds * 1000000 + m.micros), 8);
}

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool
recode_hex(struct buf *out, struct bytes digits)
{
    size_t n = digits.len / 2;
    uint8_t *to;

    if (digits.len % 2 != 0 || buf_reserve(out, n) != 0)
        return false;
    to = out->data + out->end;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(digits.data[2 * i]), low = hex_digit(digits.data[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    out->end += n;
    return true;
}

static bool
put_uuid(struct buf *out, struct bytes text)
{
    uint8_t digits[32];
    size_t n = 0;

    if (text.len != 36)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash != (text.data[i] == '-'))
            return false;
        if (!dash && hex_digit(text.data[i]) < 0)
            return false;
        if (!dash)
            digits[n++] = text.data[i];
    }
    buf_append(out, "\0\0\0\20", 4);
    return recode_hex(out, (struct bytes){.data = digits, .len = n});
}

static bool
put_bool(struct buf *out, struct bytes text)
{
    if (text.len != 1 || (text.data[0] != 't' && text.data[0] != 'f'))
        return false;
    return put(out, text.data[0] == 't', 1);
}

bool
recode_small(struct buf *out, enum recode way, struct bytes text)
{
    switch (way) {
    case RECODE_BOOL:
        return put_bool(out, text);
    case RECODE_INT2:
        return put_integer(out, text, INT16_MAX + UINT64_C(1), INT16_MAX, 2);
    case RECODE_INT4:
        return put_integer(out, text, INT32_MAX + UINT64_C(1), INT32_MAX, 4);
    case RECODE_INT8:
        return put_integer(out, text, INT64_MAX + UINT64_C(1), INT64_MAX, 8);
    case RECODE_OID:
        return put_integer(out, text, 0, UINT32_MAX, 4);
    case RECODE_FLOAT4:
        return put_float(out, text, 4);
    case RECODE_FLOAT8:
        return put_float(out, text, 8);
    case RECODE_NUMERIC:
        return put_numeric(out, text);
    case RECODE_DATE:
        return put_moment(out, text, true);
    case RECODE_TIMESTAMP:
        return put_moment(out, text, false);
    case RECODE_UUID:
        return put_uuid(out, text);
    case RECODE_NONE:
    case RECODE_SAME:
    case RECODE_BYTEA:
    case RECODE_JSONB:
        break;
    }
    return false;
}
