/* binary_time.c: PostgreSQL's binary format to its text format, for dates, times and intervals. The
 * layouts are those of date.c and timestamp.c in src/backend/utils/adt/ of PostgreSQL. */
#include "sink-ch/convert/binary_time.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/calendar.h"
#include "lib/clock.h"
#include "lib/pgtype.h"
#include "sink-ch/convert/base.h"
#include "sink-ch/convert/binary_scalar.h"

#define DAY_MICROS INT64_C(86400000000)

/* Writes days since 1970-01-01 as "YYYY-MM-DD". Sets *bc if " BC" must follow, after the time. */
static void
put_day(int64_t days, struct buf *out, bool *bc)
{
    struct calendar_date date = calendar_date(days);

    *bc = date.year <= 0;
    convert_put_format(out, "%04" PRId64 "-%02" PRId64 "-%02" PRId64,
                       *bc ? 1 - date.year : date.year, date.month, date.day);
}

static bool
put_date(struct cursor *c, struct buf *out)
{
    int64_t days;
    bool bc;

    if (!convert_binary_integer(c, 4, &days))
        return false;
    if (days == INT32_MIN || days == INT32_MAX) {
        convert_put_format(out, "%sinfinity", days < 0 ? "-" : "");
        return true;
    }
    put_day(days + POSTGRES_EPOCH / 86400, out, &bc);
    convert_put_format(out, "%s", bc ? " BC" : "");
    return true;
}

/* HH:MM:SS and, without zeros at its end, the fraction. */
static void
put_clock(int64_t micros, struct buf *out)
{
    int64_t seconds = micros / 1000000, fraction = micros % 1000000;
    char digits[16];
    int n;

    convert_put_format(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600,
                       seconds / 60 % 60, seconds % 60);
    if (fraction == 0)
        return;
    n = snprintf(digits, sizeof digits, ".%06" PRId64, fraction);
    while (digits[n - 1] == '0')
        n--;
    buf_append(out, digits, (size_t)n);
}

static bool
put_timestamp(struct cursor *c, bool with_zone, struct buf *out)
{
    int64_t micros, days;
    bool bc;

    if (!convert_binary_integer(c, 8, &micros))
        return false;
    if (micros == INT64_MIN || micros == INT64_MAX) {
        convert_put_format(out, "%sinfinity", micros < 0 ? "-" : "");
        return true;
    }
    days = micros / DAY_MICROS - (micros % DAY_MICROS < 0);
    put_day(days + POSTGRES_EPOCH / 86400, out, &bc);
    buf_append(out, " ", 1);
    put_clock((micros % DAY_MICROS + DAY_MICROS) % DAY_MICROS, out);
    convert_put_format(out, "%s%s", with_zone ? "+00" : "", bc ? " BC" : "");
    return true;
}

/* Also for timetz, where seconds west of Greenwich follow. */
static bool
put_time(struct cursor *c, bool with_zone, struct buf *out)
{
    int64_t micros, west, east;

    if (!convert_binary_integer(c, 8, &micros) || micros < 0 || micros > DAY_MICROS)
        return false;
    put_clock(micros, out);
    if (!with_zone)
        return true;
    if (!convert_binary_integer(c, 4, &west))
        return false;
    east = west > 0 ? west : -west;
    convert_put_format(out, "%c%02" PRId64, west > 0 ? '-' : '+', east / 3600);
    if (east % 3600 != 0)
        convert_put_format(out, ":%02" PRId64, east / 60 % 60);
    if (east % 60 != 0)
        convert_put_format(out, ":%02" PRId64, east % 60);
    return true;
}

/* One unit of an interval, as EncodeInterval writes it under IntervalStyle postgres. */
static void
put_interval_part(int64_t n, const char *unit, bool *first, bool *before, struct buf *out)
{
    if (n == 0)
        return;
    convert_put_format(out, "%s%s%" PRId64 " %s%s", *first ? "" : " ", *before && n > 0 ? "+" : "",
                       n, unit, n == 1 ? "" : "s");
    *before = n < 0;
    *first = false;
}

static bool
put_interval(struct cursor *c, struct buf *out)
{
    int64_t micros, days, months;
    bool first = true, before = false;

    if (!convert_binary_integer(c, 8, &micros) || !convert_binary_integer(c, 4, &days) ||
        !convert_binary_integer(c, 4, &months) || micros == INT64_MIN)
        return false;
    if (micros == INT64_MAX && days == INT32_MAX && months == INT32_MAX) {
        buf_append(out, "infinity", 8); /* since PostgreSQL 17 */
        return true;
    }
    put_interval_part(months / 12, "year", &first, &before, out);
    put_interval_part(months % 12, "mon", &first, &before, out);
    put_interval_part(days, "day", &first, &before, out);
    if (!first && micros == 0)
        return true;
    convert_put_format(out, "%s%s", first ? "" : " ", micros < 0 ? "-" : before ? "+" : "");
    put_clock(micros < 0 ? -micros : micros, out);
    return true;
}

bool
convert_binary_time(struct cursor *c, uint32_t oid, struct buf *out)
{
    switch (oid) {
    case PG_DATE:
        return put_date(c, out);
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        return put_timestamp(c, oid == PG_TIMESTAMPTZ, out);
    case PG_INTERVAL:
        return put_interval(c, out);
    default:
        return put_time(c, oid == PG_TIMETZ, out);
    }
}
