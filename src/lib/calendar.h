/* calendar.h: days and dates of the proleptic Gregorian calendar. Year 0 is 1 BC. It does not use
 * the C library's functions, which open the time zone's file. A sandbox forbids that. */
#ifndef WALPIPE_CALENDAR_H
#define WALPIPE_CALENDAR_H

#include "lib/base.h"

struct calendar_date {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;   /* 1 to 31 */
};

static inline int64_t
calendar_days_in_month(int64_t year, int64_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01. Years begin in March here, so that leap days come last. */
static inline int64_t
calendar_days(struct calendar_date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

/* The inverse. */
static inline struct calendar_date
calendar_date(int64_t days)
{
    int64_t z = days + 719468; /* days since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march = (5 * day_of_year + 2) / 153; /* 0 is March */
    int64_t month = march < 10 ? march + 3 : march - 9;

    return (struct calendar_date){.year = year_of_era + era * 400 + (month <= 2),
                                  .month = month,
                                  .day = day_of_year - (153 * march + 2) / 5 + 1};
}

#endif
