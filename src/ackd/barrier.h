/* barrier.h: a sink's barrier: all its workers stop, the applier goes first, then the others
 * (docs/events.7). Pure. One barrier at a time is open: a worker that waits sees no second one. */
#ifndef WALPIPE_ACKD_BARRIER_H
#define WALPIPE_ACKD_BARRIER_H

#include "lib/ackmsg.h"

struct barrier {
    bool open;     /* somebody has reached it, not everybody has been let go */
    bool applying; /* all have reached it; the applier was let go */
    bool any;      /* last_id means something */
    uint64_t last_id;
    uint32_t applier;
    uint32_t reached_count;
    uint64_t reached[WORKERS_MAX / 64]; /* one bit a shard */
};

enum barrier_step {
    BARRIER_WAIT,           /* not all are there */
    BARRIER_LET_APPLIER_GO, /* send go to shard `applier` */
    BARRIER_LET_OTHERS_GO,  /* send go to all but `applier` */
    BARRIER_BROKEN          /* err is set (EXIT_BUG): the workers, or route, disagree */
};

/* Worker `shard` of `shards` reached the barrier. */
enum barrier_step barrier_reached(struct barrier *barrier, uint32_t shards, uint32_t shard,
                                  const struct ack_barrier *what, struct err *err) MUST_CHECK;

/* Worker `shard` says that it applied the barrier's change. */
enum barrier_step barrier_done(struct barrier *barrier, uint32_t shard, uint64_t id,
                               struct err *err) MUST_CHECK;

#endif
