/* amount.c: see amount.h. */
#include "walpipe/amount.h"

#include <inttypes.h>
#include <stdio.h>

struct amount_text
amount_bytes(uint64_t n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    struct amount_text out;
    double value = (double)n;
    size_t unit = 0;

    while (value >= 10000 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(out.text, sizeof out.text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

struct amount_text
amount_millis(uint64_t millis)
{
    struct amount_text out;

    if (millis < 120000)
        snprintf(out.text, sizeof out.text, "%.1f s", (double)millis / 1000);
    else if (millis < 7200000)
        snprintf(out.text, sizeof out.text, "%" PRIu64 " min", millis / 60000);
    else
        snprintf(out.text, sizeof out.text, "%.1f h", (double)millis / 3600000);
    return out;
}
