/* backoff.h: how long to wait before the pipeline is started again. */
#ifndef WALPIPE_BACKOFF_H
#define WALPIPE_BACKOFF_H

#include "lib/base.h"

#define BACKOFF_FIRST_MILLIS 100
/* Together with the sinks' own, at most 5 s: when all is healthy again after a long outage, people
 * expect to see rows within seconds. */
#define BACKOFF_MOST_MILLIS   8000
#define BACKOFF_HEALTH_MILLIS 10000

/* Zero-initialise to use. */
struct backoff {
    uint32_t failures; /* in a row */
};

/* After a life of lived_millis that failed: the wait in milliseconds. It doubles with each failure
 * and is shortened by up to half at random, so that many pipelines do not come back as one;
 * BACKOFF_HEALTH_MILLIS of life forgets the failures before. random is any random number. */
uint64_t backoff_next(struct backoff *backoff, uint64_t lived_millis, uint32_t random);

#endif
