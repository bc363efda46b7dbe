/* barrier.c: see barrier.h. */
#include "ackd/barrier.h"

#include <inttypes.h>
#include <string.h>

static void
open_barrier(struct barrier *b, const struct ack_barrier *what)
{
    b->open = true;
    b->applying = false;
    b->any = true;
    b->last_id = what->id;
    b->applier = what->applier;
    b->reached_count = 0;
    memset(b->reached, 0, sizeof b->reached);
}

static enum barrier_step
broken(struct err *err, const char *why, uint32_t shard, uint64_t id, const struct barrier *b)
{
    err_set(err, EXIT_BUG, "worker %u at barrier %" PRIu64 ": %s (last barrier: %" PRIu64 ")",
            shard, id, why, b->last_id);
    return BARRIER_BROKEN;
}

enum barrier_step
barrier_reached(struct barrier *b, uint32_t shards, uint32_t shard, const struct ack_barrier *what,
                struct err *err)
{
    uint64_t bit = UINT64_C(1) << (shard % 64);

    if (what->applier >= shards)
        return broken(err, "the applier is not a shard of this sink", shard, what->id, b);
    if (!b->open) {
        if (b->any && what->id <= b->last_id)
            return broken(err, "this barrier is over, ids must grow", shard, what->id, b);
        open_barrier(b, what);
    }
    if (what->id != b->last_id || what->applier != b->applier)
        return broken(err, "other workers of the sink wait at another barrier", shard, what->id, b);
    if (b->applying || (b->reached[shard / 64] & bit) != 0)
        return broken(err, "it was reported twice", shard, what->id, b);
    b->reached[shard / 64] |= bit;
    b->reached_count++;
    if (b->reached_count < shards)
        return BARRIER_WAIT;
    b->applying = true;
    return BARRIER_LET_APPLIER_GO;
}

enum barrier_step
barrier_done(struct barrier *b, uint32_t shard, uint64_t id, struct err *err)
{
    if (!b->open || !b->applying || id != b->last_id || shard != b->applier)
        return broken(err, "reported as done by a worker that was not let go", shard, id, b);
    b->open = false;
    return BARRIER_LET_OTHERS_GO;
}
