/* backoff.c: see backoff.h. */
#include "walpipe/backoff.h"

uint64_t
backoff_next(struct backoff *b, uint64_t lived_millis, uint32_t random)
{
    uint64_t full = BACKOFF_FIRST_MILLIS;

    if (lived_millis >= BACKOFF_HEALTH_MILLIS)
        b->failures = 0;
    for (uint32_t i = 0; i < b->failures && full < BACKOFF_MOST_MILLIS; i++)
        full *= 2;
    if (full > BACKOFF_MOST_MILLIS)
        full = BACKOFF_MOST_MILLIS;
    else
        b->failures++;
    return full - random % (full / 2 + 1);
}
