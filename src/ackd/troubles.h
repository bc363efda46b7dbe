/* troubles.h: the last errors that this ackd has seen, for the status page. Bounded. The last one
 * of all, also of earlier runs, is lib/lasterror's. */
#ifndef WALPIPE_ACKD_TROUBLES_H
#define WALPIPE_ACKD_TROUBLES_H

#include "lib/base.h"

#define TROUBLES_MAX 10u

struct trouble {
    char time[64]; /* in the form of utctime.h */
    char who[96];
    char message[512]; /* may be cut */
};

/* Zero-initialise to use. */
struct troubles {
    uint32_t count;
    uint32_t next;
    struct trouble list[TROUBLES_MAX];
};

void troubles_add(struct troubles *troubles, const char *who, const char *message);

/* The i-th of troubles->count, from the newest on. */
const struct trouble *troubles_at(const struct troubles *troubles, uint32_t i);

#endif
