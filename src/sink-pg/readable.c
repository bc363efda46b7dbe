/* readable.c: see readable.h. The layouts are those of the send functions in src/backend/utils/adt
 * of PostgreSQL. */
#include "sink-pg/readable.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/calendar.h"
#include "lib/clock.h"
#include "lib/cursor.h"
#include "lib/pgtype.h"

#define DAY_MICROS INT64_C(86400000000)

#define NUMERIC_NEGATIVE 0x4000

struct out {
    char *text;
    size_t size; /* at least 1 */
    size_t len;
};

static void PRINTF_LIKE(2, 3) put(struct out *o, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(o->text + o->len, o->size - o->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        o->len += (size_t)n < o->size - o->len ? (size_t)n : o->size - o->len - 1;
}

/* A big-endian integer of all the value's bytes, with its sign. */
static int64_t
integer(const struct value *v)
{
    uint64_t n = v->len > 0 && v->data[0] >= 0x80 ? UINT64_MAX : 0;

    for (uint32_t i = 0; i < v->len; i++)
        n = n << 8 | v->data[i];
    return (int64_t)n;
}

static void
put_date(struct out *o, int64_t days)
{
    struct calendar_date d = calendar_date(days + POSTGRES_EPOCH / 86400);

    put(o, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, d.year, d.month, d.day);
}

static void
put_timestamp(struct out *o, int64_t micros)
{
    int64_t day = micros / DAY_MICROS - (micros % DAY_MICROS < 0);
    int64_t rest = micros - day * DAY_MICROS, seconds = rest / 1000000;

    put_date(o, day);
    put(o, " %02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60,
        seconds % 60);
    if (rest % 1000000 != 0)
        put(o, ".%06" PRId64, rest % 1000000);
}

static bool
put_numeric(struct out *o, const struct value *v)
{
    struct cursor c = cursor_over(v->data, v->len);
    uint16_t count, weight, sign, scale, digit;
    int at;

    if (!cursor_u16(&c, &count) || !cursor_u16(&c, &weight) || !cursor_u16(&c, &sign) ||
        !cursor_u16(&c, &scale) || c.left != 2u * count || (sign & ~NUMERIC_NEGATIVE) != 0)
        return false;
    at = (int16_t)weight;
    put(o, "%s%s", sign != 0 ? "-" : "", at < 0 || count == 0 ? "0" : "");
    for (int i = 0; i <= at && i < 64; i++)
        put(o, "%0*d", i == 0 ? 1 : 4, i < count && cursor_u16(&c, &digit) ? digit : 0);
    if (scale == 0)
        return true;
    put(o, ".");
    for (int i = -1, left = scale; left > 0 && i > -64; i--, left -= 4) {
        bool here = i <= at && cursor_u16(&c, &digit);

        put(o, "%.*s", left,
            (char[5]){(char)('0' + (here ? digit / 1000 % 10 : 0)),
                      (char)('0' + (here ? digit / 100 % 10 : 0)),
                      (char)('0' + (here ? digit / 10 % 10 : 0)),
                      (char)('0' + (here ? digit % 10 : 0)), '\0'});
    }
    return true;
}

static void
put_uuid(struct out *o, const struct value *v)
{
    for (uint32_t i = 0; i < 16; i++)
        put(o, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", v->data[i]);
}

/* Returns false for a type without a case, or a malformed value. */
static bool
put_value(struct out *o, uint32_t type, const struct value *v)
{
    switch (type) {
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
        put(o, "%" PRId64, integer(v));
        return v->len <= 8;
    case PG_OID:
        put(o, "%" PRIu32, (uint32_t)integer(v));
        return v->len == 4;
    case PG_BOOL:
        put(o, "%s", integer(v) != 0 ? "t" : "f");
        return v->len == 1;
    case PG_TEXT:
    case PG_VARCHAR:
    case PG_BPCHAR:
    case PG_NAME:
        put(o, "%.*s", (int)(v->len < 60 ? v->len : 60), (const char *)v->data);
        return true;
    case PG_DATE:
        put_date(o, integer(v));
        return v->len == 4;
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        put_timestamp(o, integer(v));
        put(o, "%s", type == PG_TIMESTAMPTZ ? "+00" : "");
        return v->len == 8;
    case PG_UUID:
        if (v->len == 16)
            put_uuid(o, v);
        return v->len == 16;
    case PG_NUMERIC:
        return put_numeric(o, v);
    default:
        return false;
    }
}

void
readable_binary(uint32_t type_oid, const struct value *v, char *out, size_t size)
{
    struct out o = {.text = out, .size = size};

    if (put_value(&o, type_oid, v))
        return;
    o.len = 0;
    put(&o, "\\x");
    for (uint32_t i = 0; i < v->len && i < 24; i++)
        put(&o, "%02x", v->data[i]);
    if (v->len > 24)
        put(&o, "...");
}
