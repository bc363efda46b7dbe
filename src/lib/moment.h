/* moment.h: PostgreSQL's date and timestamp text, as DateStyle ISO writes it (timestamps with time
 * zone in any zone). */
#ifndef WALPIPE_MOMENT_H
#define WALPIPE_MOMENT_H

#include "lib/base.h"

/* Seconds of a day. */
#define MOMENT_DAY INT64_C(86400)

/* Since 1970-01-01 UTC. A time without a zone counts as UTC. Seconds and micros are apart, because
 * the microseconds from 1970 to PostgreSQL's last year, 294276, do not fit in 64 bits. */
struct moment {
    int64_t seconds;
    uint32_t micros;
    int infinity; /* -1, 0, 1 */
};

/* Returns false if text is no date and no timestamp. */
bool moment_read(struct bytes text, struct moment *m) MUST_CHECK;

#endif
