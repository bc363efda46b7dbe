/* backoff.h: the time to wait before a failed action is tried again. */
#ifndef WALPIPE_BACKOFF_H
#define WALPIPE_BACKOFF_H

#include "lib/base.h"

/* Set first_millis and most_millis, zero the rest. */
struct backoff {
    uint64_t first_millis; /* the wait after the first failure */
    uint64_t most_millis;
    uint32_t failures; /* failures in a row */
};

/* Counts one more failure and returns the wait in milliseconds. It doubles with each failure and is
 * shortened by up to half at random, so that many clients do not return at the same moment. random
 * is any random number. */
uint64_t backoff_next(struct backoff *backoff, uint32_t random);

/* The action has succeeded. */
void backoff_forget(struct backoff *backoff);

/* A random number for backoff_next. If the kernel has none, the waits are only less spread. */
uint32_t backoff_random(void);

#endif
