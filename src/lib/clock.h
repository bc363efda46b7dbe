/* clock.h: intervals on the monotonic clock, and PostgreSQL's time. */
#ifndef WALPIPE_CLOCK_H
#define WALPIPE_CLOCK_H

#include "lib/base.h"

/* Unix time of 2000-01-01 00:00:00 UTC, where PostgreSQL's timestamps begin. */
#define POSTGRES_EPOCH 946684800

/* Microseconds that never go back. Only differences have a meaning. */
uint64_t clock_micros(void);

/* Now, in microseconds since 2000-01-01 UTC. */
int64_t clock_postgres_now(void);

/* The poll(2) timeout until deadline, rounded up. deadline is of clock_micros, or 0 for none.
 * Returns -1, or 0 and more. */
int clock_poll_timeout(uint64_t deadline);

#endif
