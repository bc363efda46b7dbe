/* moment.c: see moment.h. */
#include "lib/moment.h"

#include <string.h>

#include "lib/calendar.h"

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

bool
moment_read(struct bytes s, struct moment *m)
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
    if (month < 1 || month > 12 || day < 1 || day > calendar_days_in_month(year, month))
        return false;
    m->seconds = calendar_days((struct calendar_date){year, month, day}) * MOMENT_DAY + time;
    return true;
}
