/* time.c: PostgreSQL's date and timestamp text (DateStyle ISO) to ClickHouse's times. A
 * timestamp without time zone counts as UTC. */
#include "sink-ch/convert/time.h"

#include "lib/moment.h"

/* The range of one type, in its own unit. */
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

/* Under CONVERT_CLAMP, digits that are too fine for the column are cut off, so that no time becomes
 * a later one. */
static enum convert_status
put_date(struct convert *convert, const struct ch_type *type, const struct moment *m,
         struct buf *out)
{
    const struct convert_limits *limits = convert->limits;
    struct window date = {.min = 0, .max = limits->date_days};
    struct window date32 = {.min = limits->wide_first_day, .max = limits->wide_last_day};
    bool is_midnight = m->micros == 0 && m->seconds % MOMENT_DAY == 0;

    if (!is_midnight && !convert_may_clamp(convert))
        return convert_misfit(convert, "has a time of day, which the column can't hold");
    return put_within(convert, m->seconds / MOMENT_DAY - (m->seconds % MOMENT_DAY < 0),
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

/* Ticks of 10^-scale seconds. With scale 9, 64 bits end at 2262-04-11. */
static enum convert_status
put_datetime64(struct convert *convert, const struct ch_type *type, const struct moment *m,
               struct buf *out)
{
    int64_t ticks_per_second = power_of_ten(type->scale);
    int64_t first = convert->limits->wide_first_day * MOMENT_DAY;
    int64_t end = (convert->limits->wide_last_day + 1) * MOMENT_DAY;
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

    if (!moment_read(text, &m))
        return convert_bad(convert, "not a date or timestamp");
    if (m.infinity != 0) { /* outside of every window */
        m.seconds = m.infinity * (INT64_MAX / MOMENT_DAY) * MOMENT_DAY;
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
