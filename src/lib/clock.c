/* clock.c: see clock.h. */
#include "lib/clock.h"

#include <limits.h>
#include <time.h>

uint64_t
clock_micros(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int64_t
clock_postgres_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return ((int64_t)now.tv_sec - POSTGRES_EPOCH) * 1000000 + now.tv_nsec / 1000;
}

int
clock_poll_timeout(uint64_t deadline)
{
    uint64_t now, millis;

    if (deadline == 0)
        return -1;
    now = clock_micros();
    if (deadline <= now)
        return 0;
    millis = (deadline - now + 999) / 1000;
    return millis > INT_MAX ? INT_MAX : (int)millis;
}
