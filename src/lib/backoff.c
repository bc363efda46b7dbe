/* backoff.c: see backoff.h. */
#include "lib/backoff.h"

#include <sys/random.h>

uint64_t
backoff_next(struct backoff *b, uint32_t random)
{
    uint64_t full = b->first_millis;

    for (uint32_t i = 0; i < b->failures && full < b->most_millis; i++)
        full *= 2;
    if (full > b->most_millis)
        full = b->most_millis;
    else
        b->failures++;
    return full - random % (full / 2 + 1);
}

void
backoff_forget(struct backoff *b)
{
    b->failures = 0;
}

uint32_t
backoff_random(void)
{
    uint32_t random = 0;

    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    return random;
}
