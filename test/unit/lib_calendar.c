/* lib_calendar.c: days and dates, compared with the C library's.
 * links: lib/err */
#include "lib/calendar.h"

#include <time.h>

#include "check.h"

/* From 4000 BC to 4000 AD, every day. */
static void
test_every_day(void)
{
    int wrong = 0;

    for (int64_t day = -2200000; day < 750000; day++) {
        struct calendar_date d = calendar_date(day);
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;

        gmtime_r(&seconds, &tm);
        wrong += d.year != tm.tm_year + 1900 || d.month != tm.tm_mon + 1 || d.day != tm.tm_mday ||
                 calendar_days(d) != day;
    }
    check(wrong == 0, "every day of 8,000 years has its date, and the date its day: %d wrong",
          wrong);
}

static void
test_months(void)
{
    check(calendar_days_in_month(2000, 2) == 29, "2000 is a leap year");
    check(calendar_days_in_month(1900, 2) == 28, "1900 is none");
    check(calendar_days_in_month(2024, 2) == 29, "2024 is one");
    check(calendar_days_in_month(2024, 4) == 30, "April has 30 days");
    check(calendar_days_in_month(0, 2) == 29, "1 BC is a leap year");
}

int
main(void)
{
    test_every_day();
    test_months();
    return check_done();
}
