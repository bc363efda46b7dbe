/* barrier.h: the barrier of a sink. All its workers stop, then the applier continues, then the
 * others (docs/events.7). Pure. Only one barrier is open at a time, because a worker that waits
 * does not read the next one. */
#ifndef WALPIPE_ACKD_BARRIER_H
#define WALPIPE_ACKD_BARRIER_H

#include "lib/ackmsg.h"

struct barrier {
    bool open;     /* some worker has reached it, and some worker still waits */
    bool applying; /* all workers have reached it, and the applier was let go */
    bool any;      /* last_id is set */
    uint64_t last_id;
    uint32_t applier;
    uint32_t reached_count;
    uint64_t reached[WORKERS_MAX / 64]; /* one bit per shard */
};

enum barrier_step {
    BARRIER_WAIT,           /* some workers have not reached it */
    BARRIER_LET_APPLIER_GO, /* send go to shard `applier` */
    BARRIER_LET_OTHERS_GO,  /* send go to all but `applier` */
    BARRIER_BROKEN          /* err is set (EXIT_BUG) because the workers, or route, disagree */
};

/* Worker `shard` of `shards` reached the barrier. */
enum barrier_step barrier_reached(struct barrier *barrier, uint32_t shards, uint32_t shard,
                                  const struct ack_barrier *what, struct err *err) MUST_CHECK;

/* Worker `shard` reports that it applied the barrier's change. */
enum barrier_step barrier_done(struct barrier *barrier, uint32_t shard, uint64_t id,
                               struct err *err) MUST_CHECK;

#endif
