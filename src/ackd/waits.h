/* waits.h: the reason why each program waits, which ackd infers from the messages. */
#ifndef WALPIPE_ACKD_WAITS_H
#define WALPIPE_ACKD_WAITS_H

#include "ackd/ackd.h"

enum waits {
    WAITS_NOTHING,    /* it works */
    WAITS_START,      /* for the other programs, or for its target, before it begins */
    WAITS_TIMER,      /* to try the source again */
    WAITS_SLOT,       /* until another process does not use the slot any more */
    WAITS_UPSTREAM,   /* for changes: it has written all that came */
    WAITS_DOWNSTREAM, /* for the next program, which is slower */
    WAITS_TARGET,     /* for its target, which is down, or busy for more than a second */
    WAITS_BARRIER,    /* for the other workers of its sink */
    WAITS_COUNT
};

/* The words of the metrics. */
const char *waits_word(enum waits waits);

/* Of pg-wal-read. As long as there is a run, pgout-decode and route wait for the same. */
enum waits waits_reader(const struct ackd *ackd);

enum waits waits_worker(const struct ackd *ackd, uint32_t worker);

#endif
