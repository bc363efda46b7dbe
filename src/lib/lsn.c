/* lsn.c: see lsn.h. */
#include "lib/lsn.h"

#include <stdio.h>

struct lsn_text
lsn_format(uint64_t lsn)
{
    struct lsn_text out;

    snprintf(out.text, sizeof out.text, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return out;
}

static bool
parse_hex32(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t n = 0;
    int digits;

    for (digits = 0; digits < 9; digits++, p++) {
        unsigned char c = (unsigned char)*p;

        if (c >= '0' && c <= '9')
            n = n << 4 | (uint64_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            n = n << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
        else
            break;
    }
    *at = p;
    *out = n;
    return digits >= 1 && digits <= 8;
}

bool
lsn_parse(const char *text, uint64_t *lsn)
{
    uint64_t high, low;

    if (!parse_hex32(&text, &high) || *text++ != '/' || !parse_hex32(&text, &low) || *text != '\0')
        return false;
    *lsn = high << 32 | low;
    return true;
}
