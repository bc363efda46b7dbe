/* sink-ch_comparelimits.c: the limits that walpipe compare uses are those to which the conversion
 * clamps. */
/* clang-format off */
/* links: sink-ch/comparelimits lib/canon lib/pgtype sink-ch/convert/ lib/moment lib/buf lib/cursor; */
/* clang-format on */
#include "sink-ch/comparelimits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "lib/calendar.h"
#include "lib/pgtype.h"
#include "sink-ch/convert/convert.h"

static struct convert convert;

/* The bytes of the value, which must fit unless it is clamped. Returns false if it is refused. */
static bool
put(const struct ch_type *type, uint32_t oid, const char *text, enum convert_policy policy,
    struct buf *out)
{
    struct value v = {
        .kind = VALUE_TEXT, .data = (const uint8_t *)text, .len = (uint32_t)strlen(text)};

    convert.policy = policy;
    out->start = out->end = 0;
    return convert_value(&convert, type, oid, &v, out) == 0;
}

/* PostgreSQL's text of a limit in days or seconds. */
static const char *
written(enum ch_kind kind, const char *limit)
{
    static char text[64];
    struct calendar_date date;
    int64_t n;

    if (kind != CH_DATE && kind != CH_DATE32 && kind != CH_DATETIME)
        return limit;
    n = strtoll(limit, NULL, 10);
    date = calendar_date(kind == CH_DATETIME ? n / 86400 : n);
    snprintf(text, sizeof text, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, date.year, date.month,
             date.day);
    if (kind == CH_DATETIME)
        snprintf(text + 10, sizeof text - 10, " %02" PRId64 ":%02" PRId64 ":%02" PRId64,
                 n / 3600 % 24, n / 60 % 60, n % 60);
    return text;
}

static int64_t
ticks(const struct buf *b)
{
    int64_t n = 0;

    memcpy(&n, b->data + b->start, buf_len(b) < sizeof n ? buf_len(b) : sizeof n);
    return n;
}

/* More digits of a second than a text of PostgreSQL has. */
static void
try_fine_limit(const char *name, const struct ch_type *type, const char *limit)
{
    struct buf at = {0}, clamped = {0};
    char text[64];

    snprintf(text, sizeof text, "%.19s", limit);
    check(put(type, PG_TIMESTAMP, text, CONVERT_ERROR, &at) &&
              put(type, PG_TIMESTAMP, "infinity", CONVERT_CLAMP, &clamped) &&
              ticks(&at) + strtoll(limit + 20, NULL, 10) == ticks(&clamped),
          "%s: infinity becomes %s", name, limit);
    buf_free(&at);
    buf_free(&clamped);
}

static void
try_limit(const char *name, const struct ch_type *type, uint32_t oid, const char *limit,
          const char *beyond)
{
    struct buf at = {0}, clamped = {0};
    bool fits = put(type, oid, written(type->kind, limit), CONVERT_ERROR, &at);

    check(fits, "%s: %s fits", name, limit);
    check(!put(type, oid, beyond, CONVERT_ERROR, &clamped), "%s: %s does not fit", name, beyond);
    check(put(type, oid, beyond, CONVERT_CLAMP, &clamped) && fits &&
              buf_len(&at) == buf_len(&clamped) &&
              memcmp(at.data + at.start, clamped.data + clamped.start, buf_len(&at)) == 0,
          "%s: %s becomes %s", name, beyond, limit);
    check(canon_limit_is_plain(limit), "%s: %s is plain", name, limit);
    buf_free(&at);
    buf_free(&clamped);
}

static void
try_type(const char *name, const struct convert_limits *limits)
{
    static const char *const numbers[] = {"-1e90", "1e90"}, *const times[] = {"-infinity",
                                                                              "infinity"};
    struct canon_column column = {0};
    struct ch_type type;
    bool number;

    if (!check(chtype_parse(name, &type) == 0, "%s is a type", name))
        return;
    number = type.kind == CH_INT || type.kind == CH_UINT || type.kind == CH_DECIMAL;
    convert.limits = limits;
    comparelimits_set(&column, &type, limits);
    try_limit(name, &type, number ? PG_NUMERIC : PG_TIMESTAMP, column.low,
              number ? numbers[0] : times[0]);
    if (type.kind == CH_DATETIME64 && type.scale > 6)
        try_fine_limit(name, &type, column.high);
    else
        try_limit(name, &type, number ? PG_NUMERIC : PG_TIMESTAMP, column.high,
                  number ? numbers[1] : times[1]);
    check(column.scale == type.scale && column.width == type.width, "%s: width and scale", name);
    chtype_free(&type);
}

int
main(void)
{
    static const char *const types[] = {
        "Int8",           "Int16",         "Int32",         "Int64",         "Int128",
        "Int256",         "UInt8",         "UInt16",        "UInt32",        "UInt64",
        "UInt128",        "UInt256",       "Decimal(9, 2)", "Decimal(3, 3)", "Decimal(18, 0)",
        "Decimal(38, 5)", "Decimal(76,9)", "Date",          "Date32",        "DateTime",
        "DateTime64(0)",  "DateTime64(3)", "DateTime64(6)", "DateTime64(8)", "DateTime64(9)"};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        try_type(types[i], &convert_limits_modern);
        try_type(types[i], &convert_limits_old);
        try_type(types[i], &convert_limits_middle);
    }
    convert_free(&convert);
    return check_done();
}
