/* utctime.h: the time of day for people and programs, such as 2026-11-26T05:10:11.123Z (RFC
 * 3339). */
#ifndef WALPIPE_UTCTIME_H
#define WALPIPE_UTCTIME_H

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "lib/calendar.h"

struct utctime_text {
    char text[128];
};

/* Of so many seconds since 1970, without their fractions. */
static inline struct utctime_text
utctime_at(uint64_t seconds)
{
    struct calendar_date date = calendar_date((int64_t)(seconds / 86400));
    struct utctime_text out;

    snprintf(out.text, sizeof out.text, "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02d:%02d:%02dZ",
             date.year, date.month, date.day, (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60),
             (int)(seconds % 60));
    return out;
}

/* millis since 1970. */
static inline struct utctime_text
utctime_of(int64_t millis)
{
    struct calendar_date date = calendar_date(millis / 86400000);
    int64_t seconds = millis / 1000 % 86400;
    struct utctime_text out;

    snprintf(out.text, sizeof out.text,
             "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64
             ".%03" PRId64 "Z",
             date.year, date.month, date.day, seconds / 3600, seconds / 60 % 60, seconds % 60,
             millis % 1000);
    return out;
}

static inline struct utctime_text
utctime_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return utctime_of(now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000);
}

#endif
