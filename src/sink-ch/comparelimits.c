/* comparelimits.c: see comparelimits.h. */
#include "sink-ch/comparelimits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/calendar.h"

#define DAY INT64_C(86400)

/* 2^bits in decimal, the last digit first. */
struct digits {
    uint8_t digit[CANON_LIMIT_SIZE];
    size_t count;
};

static struct digits
power_of_two(uint32_t bits)
{
    struct digits d = {.digit = {1}, .count = 1};

    for (; bits > 0; bits--) {
        unsigned carry = 0;

        for (size_t i = 0; i < d.count; i++) {
            unsigned n = 2u * d.digit[i] + carry;

            d.digit[i] = (uint8_t)(n % 10);
            carry = n / 10;
        }
        if (carry > 0)
            d.digit[d.count++] = (uint8_t)carry;
    }
    return d;
}

/* No power of two ends with 0, so nothing is borrowed. */
static void
print_power(char out[CANON_LIMIT_SIZE], const char *sign, uint32_t bits, unsigned less)
{
    struct digits d = power_of_two(bits);
    size_t at = strlen(sign);

    d.digit[0] = (uint8_t)(d.digit[0] - less);
    memcpy(out, sign, at);
    for (size_t i = d.count; i > 0; i--)
        out[at++] = (char)('0' + d.digit[i - 1]);
    out[at] = '\0';
}

static void
set_integer(struct canon_column *c, const struct ch_type *type)
{
    uint32_t bits = 8 * type->width;

    if (type->kind == CH_INT) {
        print_power(c->low, "-", bits - 1, 0);
        print_power(c->high, "", bits - 1, 1);
    } else {
        snprintf(c->low, sizeof c->low, "0");
        print_power(c->high, "", bits, 1);
    }
}

static void
set_decimal(struct canon_column *c, const struct ch_type *type)
{
    uint32_t whole = type->precision - type->scale;
    size_t at = 0;

    c->low[at++] = '-';
    if (whole == 0)
        c->low[at++] = '0';
    for (uint32_t i = 0; i < type->precision; i++) {
        if (i == whole)
            c->low[at++] = '.';
        c->low[at++] = '9';
    }
    c->low[at] = '\0';
    memcpy(c->high, c->low + 1, at);
}

static void
print_time(char out[CANON_LIMIT_SIZE], int64_t seconds, uint64_t fraction, uint32_t scale)
{
    int64_t days = seconds / DAY - (seconds % DAY < 0), rest = seconds - days * DAY;
    struct calendar_date date = calendar_date(days);
    int len =
        snprintf(out, CANON_LIMIT_SIZE,
                 "%04" PRId64 "-%02" PRId64 "-%02" PRId64 " %02" PRId64 ":%02" PRId64 ":%02" PRId64,
                 date.year, date.month, date.day, rest / 3600, rest / 60 % 60, rest % 60);

    if (fraction == 0)
        return;
    len += snprintf(out + len, CANON_LIMIT_SIZE - (size_t)len, ".%0*" PRIu64, (int)scale, fraction);
    while (out[len - 1] == '0')
        out[--len] = '\0';
}

/* With scale 9, 64 bits end before the last day. */
static void
set_time(struct canon_column *c, const struct ch_type *type, const struct convert_limits *limits)
{
    int64_t end = (limits->wide_last_day + 1) * DAY, ticks = 1, last = INT64_MAX - 1;

    for (uint32_t i = 0; i < type->scale; i++)
        ticks *= 10;
    if (end < INT64_MAX / ticks - 1)
        last = end * ticks - 1;
    print_time(c->low, limits->wide_first_day * DAY, 0, type->scale);
    print_time(c->high, last / ticks, (uint64_t)(last % ticks), type->scale);
}

static void
set_range(struct canon_column *c, int64_t low, int64_t high)
{
    snprintf(c->low, sizeof c->low, "%" PRId64, low);
    snprintf(c->high, sizeof c->high, "%" PRId64, high);
}

void
comparelimits_set(struct canon_column *c, const struct ch_type *type,
                  const struct convert_limits *limits)
{
    c->width = type->width;
    c->scale = type->scale;
    switch (type->kind) {
    case CH_INT:
    case CH_UINT:
        set_integer(c, type);
        break;
    case CH_DECIMAL:
        set_decimal(c, type);
        break;
    case CH_DATE:
        set_range(c, 0, limits->date_days);
        break;
    case CH_DATE32:
        set_range(c, limits->wide_first_day, limits->wide_last_day);
        break;
    case CH_DATETIME:
        set_range(c, 0, limits->datetime_seconds);
        break;
    case CH_DATETIME64:
        set_time(c, type, limits);
        break;
    default:
        break;
    }
}
