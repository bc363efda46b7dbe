/* base.c: see base.h. */
#include "sink-ch/convert/base.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define YEAR_1900_DAYS (-25567)
#define YEAR_1925_DAYS (-16436)
#define YEAR_2283_DAYS 114635 /* 2283-11-11 */
#define YEAR_2299_DAYS 120529 /* 2299-12-31 */

/* 18.16 and its like know the days until 2105-12-31 and show later ones as 1970-01-01. */
const struct convert_limits convert_limits_old = {.date_days = 49672,
                                                  .datetime_seconds = INT64_C(4291747199),
                                                  .wide_first_day = 0,
                                                  .wide_last_day = 49672};
const struct convert_limits convert_limits_middle = {.date_days = UINT16_MAX,
                                                     .datetime_seconds = UINT32_MAX,
                                                     .wide_first_day = YEAR_1925_DAYS,
                                                     .wide_last_day = YEAR_2283_DAYS};
const struct convert_limits convert_limits_modern = {.date_days = UINT16_MAX,
                                                     .datetime_seconds = UINT32_MAX,
                                                     .wide_first_day = YEAR_1900_DAYS,
                                                     .wide_last_day = YEAR_2299_DAYS};

enum convert_status
convert_bad(struct convert *convert, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(convert->reason, sizeof convert->reason, fmt, ap);
    va_end(ap);
    return CONVERT_BAD;
}

enum convert_status
convert_misfit(struct convert *convert, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(convert->reason, sizeof convert->reason, fmt, ap);
    va_end(ap);
    return CONVERT_MISFIT;
}

bool
convert_may_clamp(struct convert *convert)
{
    convert->altered = convert->altered || convert->policy == CONVERT_CLAMP;
    return convert->policy == CONVERT_CLAMP;
}

void
convert_put(struct buf *out, uint64_t n, uint32_t width)
{
    n = htole64(n);
    buf_append(out, &n, width);
}

void
convert_put_length(struct buf *out, uint64_t n)
{
    uint8_t bytes[10];
    size_t len = 0;

    while (n >= 0x80) {
        bytes[len++] = (uint8_t)(n | 0x80);
        n >>= 7;
    }
    bytes[len++] = (uint8_t)n;
    buf_append(out, bytes, len);
}

void
convert_free(struct convert *convert)
{
    buf_free(&convert->binary);
    buf_free(&convert->decoded);
    buf_free(&convert->element);
}

void
convert_put_format(struct buf *out, const char *fmt, ...)
{
    char text[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_append(out, text, strlen(text));
}
