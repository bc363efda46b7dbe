/* convert_time.c: PostgreSQL's date and timestamp text (DateStyle ISO) to ClickHouse's times. A
 * timestamp without time zone counts as UTC. */
#include <string.h>

#include "sink-ch/convert_parts.h"

#define DAY INT64_C(86400)

/* Since 1970-01-01 UTC. Seconds and micros apart: PostgreSQL's last year, 294276, in microseconds
 * since 1970 is more than 64 bits hold. */
struct moment {
    int64_t seconds;
    uint32_t micros;
    int infinity; /* -1, 0, 1 */
};

static bool
take_char(struct bytes *s, char c)
{
    if (s->len == 0 || s->data[0] != (uint8_t)c)
        return false;
    s->data++;
    s->len--;
    return true;
}

/* A number of min to max digits. */
static bool
take_digits(struct bytes *s, size_t min, size_t max, int64_t *out)
{
    size_t n = 0;

    *out = 0;
    while (n < max && n < s->len && s->data[n] >= '0' && s->data[n] <= '9')
        *out = *out * 10 + (s->data[n++] - '0');
    s->data += n;
    s->len -= n;
    return n >= min;
}

static bool
is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t
days_in(int64_t year, int64_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC. */
static int64_t
days_from_civil(int64_t year, int64_t month, int64_t day)
{
    int64_t era, year_of_era, day_of_year;

    year -= month <= 2; /* years begin in March, so that leap days come last */
    era = (year >= 0 ? year : year - 399) / 400;
    year_of_era = year - era * 400;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static bool
take_fraction(struct bytes *s, uint32_t *micros)
{
    uint32_t unit = 100000;

    *micros = 0;
    if (!take_char(s, '.'))
        return true;
    if (s->len == 0 || s->data[0] < '0' || s->data[0] > '9')
        return false;
    for (; s->len > 0 && s->data[0] >= '0' && s->data[0] <= '9'; s->data++, s->len--) {
        if (unit == 0)
            return false; /* PostgreSQL has microseconds */
        *micros += unit * (uint32_t)(s->data[0] - '0');
        unit /= 10;
    }
    return true;
}

/* +HH[:MM[:SS]] */
static bool
take_zone(struct bytes *s, int64_t *offset)
{
    int64_t hours, minutes = 0, seconds = 0;
    bool negative = s->len > 0 && s->data[0] == '-';

    *offset = 0;
    if (!take_char(s, '+') && !take_char(s, '-'))
        return true;
    if (!take_digits(s, 2, 2, &hours) || (take_char(s, ':') && !take_digits(s, 2, 2, &minutes)) ||
        (take_char(s, ':') && !take_digits(s, 2, 2, &seconds)))
        return false;
    *offset = (hours * 60 + minutes) * 60 + seconds;
    if (negative)
        *offset = -*offset;
    return true;
}

static bool
take_time(struct bytes *s, int64_t *seconds, uint32_t *micros)
{
    int64_t hour, minute, second, offset;

    if (!take_digits(s, 2, 2, &hour) || !take_char(s, ':') || !take_digits(s, 2, 2, &minute) ||
        !take_char(s, ':') || !take_digits(s, 2, 2, &second) || !take_fraction(s, micros) ||
        !take_zone(s, &offset) || hour > 24 || minute > 59 || second > 60)
        return false;
    *seconds = (hour * 60 + minute) * 60 + second - offset;
    return true;
}

static bool
text_is(struct bytes text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static bool
read_moment(struct bytes s, struct moment *m)
{
    int64_t year, month, day, time = 0;

    *m = (struct moment){0};
    if (text_is(s, "infinity") || text_is(s, "-infinity")) {
        m->infinity = s.data[0] == '-' ? -1 : 1;
        return true;
    }
    if (!take_digits(&s, 4, 7, &year) || !take_char(&s, '-') || !take_digits(&s, 2, 2, &month) ||
        !take_char(&s, '-') || !take_digits(&s, 2, 2, &day))
        return false;
    if ((take_char(&s, ' ') && s.len > 0 && s.data[0] != 'B') && !take_time(&s, &time, &m->micros))
        return false;
    (void)take_char(&s, ' ');
    if (text_is(s, "BC"))
        year = 1 - year;
    else if (s.len > 0)
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    m->seconds = days_from_civil(year, month, day) * DAY + time;
    return true;
}

/* One type's window, in its own unit. */
struct window {
    int64_t min, max;
};

static enum convert_status
put_within(struct convert *convert, int64_t n, struct window window, uint32_t width,
           struct buf *out)
{
    if (n < window.min || n > window.max) {
        if (!convert_may_clamp(convert))
            return convert_misfit(convert, "too %s for the column's type",
                                  n < window.min ? "small" : "large");
        n = n < window.min ? window.min : window.max;
    }
    convert_put(out, (uint64_t)n, width);
    return CONVERT_DONE;
}

/* Parts that are too fine for the column are cut off under CONVERT_CLAMP: no time becomes a later
 * one. */
static enum convert_status
put_date(struct convert *convert, const struct ch_type *type, const struct moment *m,
         struct buf *out)
{
    const struct convert_limits *limits = convert->limits;
    struct window date = {.min = 0, .max = limits->date_days};
    struct window date32 = {.min = limits->wide_first_day, .max = limits->wide_last_day};
    bool is_midnight = m->micros == 0 && m->seconds % DAY == 0;

    if (!is_midnight && !convert_may_clamp(convert))
        return convert_misfit(convert, "has a time of day, which the column can't hold");
    return put_within(convert, m->seconds / DAY - (m->seconds % DAY < 0),
                      type->kind == CH_DATE ? date : date32, type->width, out);
}

static enum convert_status
put_datetime(struct convert *convert, const struct ch_type *type, const struct moment *m,
             struct buf *out)
{
    struct window window = {.min = 0, .max = convert->limits->datetime_seconds};

    if (m->micros != 0 && !convert_may_clamp(convert))
        return convert_misfit(convert, "has a fraction of a second, which the column can't hold");
    return put_within(convert, m->seconds, window, type->width, out);
}

static int64_t
power_of_ten(uint32_t n)
{
    int64_t p = 1;

    while (n-- > 0)
        p *= 10;
    return p;
}

/* Ticks of 10^-scale seconds; with scale 9 only until 2262-04-11 in 64 bits. */
static enum convert_status
put_datetime64(struct convert *convert, const struct ch_type *type, const struct moment *m,
               struct buf *out)
{
    int64_t ticks_per_second = power_of_ten(type->scale);
    int64_t first = convert->limits->wide_first_day * DAY;
    int64_t end = (convert->limits->wide_last_day + 1) * DAY;
    struct window window = {.min = first * ticks_per_second, .max = INT64_MAX - 1};
    int64_t per_micro, fraction, ticks;

    if (end < INT64_MAX / ticks_per_second - 1)
        window.max = end * ticks_per_second - 1;
    if (type->scale >= 6) {
        fraction = m->micros * power_of_ten(type->scale - 6);
    } else {
        per_micro = power_of_ten(6 - type->scale);
        if (m->micros % per_micro != 0 && !convert_may_clamp(convert))
            return convert_misfit(convert,
                                  "has more digits behind the second than the column holds");
        fraction = m->micros / per_micro;
    }
    if (__builtin_mul_overflow(m->seconds, ticks_per_second, &ticks) ||
        __builtin_add_overflow(ticks, fraction, &ticks))
        ticks = m->seconds < 0 ? INT64_MIN : INT64_MAX;
    return put_within(convert, ticks, window, type->width, out);
}

enum convert_status
convert_time(struct convert *convert, const struct ch_type *type, struct bytes text,
             struct buf *out)
{
    struct moment m;

    if (!read_moment(text, &m))
        return convert_bad(convert, "not a date or timestamp");
    if (m.infinity != 0) { /* outside of every window */
        m.seconds = m.infinity * (INT64_MAX / DAY) * DAY;
        m.micros = 0;
    }
    switch (type->kind) {
    case CH_DATE:
    case CH_DATE32:
        return put_date(convert, type, &m, out);
    case CH_DATETIME:
        return put_datetime(convert, type, &m, out);
    default:
        return put_datetime64(convert, type, &m, out);
    }
}
