/* ackd_barrier.c: all stop, the applier continues first, then the others, in whatever order they
 * come.
 * links: ackd/barrier lib/err; */
#include <stdlib.h>

#include "ackd/barrier.h"
#include "check.h"

static struct err err;

static enum barrier_step
reach(struct barrier *b, uint32_t shards, uint32_t shard, uint64_t id, uint32_t applier)
{
    struct ack_barrier what = {.id = id, .applier = applier};

    return barrier_reached(b, shards, shard, &what, &err);
}

/* All orders of arrival of n workers, and every applier. */
static bool
arrive(uint32_t *order, uint32_t n, uint32_t at)
{
    if (at < n) {
        for (uint32_t i = at; i < n; i++) {
            uint32_t swap = order[at];
            bool fine;

            order[at] = order[i];
            order[i] = swap;
            fine = arrive(order, n, at + 1);
            order[i] = order[at];
            order[at] = swap;
            if (!fine)
                return false;
        }
        return true;
    }
    for (uint32_t applier = 0; applier < n; applier++) {
        struct barrier b = {0};

        for (uint64_t id = 5; id < 7; id++) {
            for (uint32_t i = 0; i + 1 < n; i++)
                if (reach(&b, n, order[i], id, applier) != BARRIER_WAIT)
                    return false;
            if (reach(&b, n, order[n - 1], id, applier) != BARRIER_LET_APPLIER_GO ||
                barrier_done(&b, applier, id, &err) != BARRIER_LET_OTHERS_GO)
                return false;
        }
    }
    return true;
}

static void
orders(void)
{
    uint32_t order[] = {0, 1, 2, 3, 4};

    for (uint32_t n = 1; n <= 5; n++)
        check(arrive(order, n, 0), "%u workers in every order, every applier, twice", n);
}

static void
all_shards(void)
{
    struct barrier b = {0};
    bool waited = true;

    for (uint32_t i = 0; i + 1 < WORKERS_MAX; i++)
        waited = waited && reach(&b, WORKERS_MAX, i, 0, 3) == BARRIER_WAIT;
    check(waited && reach(&b, WORKERS_MAX, WORKERS_MAX - 1, 0, 3) == BARRIER_LET_APPLIER_GO,
          "as many shards as there may be, and 0 is an id too");
}

static void
broken(void)
{
    struct barrier b = {0};

    check(reach(&b, 2, 0, 1, 2) == BARRIER_BROKEN && err.code == EXIT_BUG,
          "the applier must be one of them: %s", err.message);
    check(reach(&b, 2, 0, 1, 1) == BARRIER_WAIT, "one waits");
    check(reach(&b, 2, 0, 1, 1) == BARRIER_BROKEN, "the same again: %s", err.message);
    check(reach(&b, 2, 1, 2, 1) == BARRIER_BROKEN, "another barrier: %s", err.message);
    check(reach(&b, 2, 1, 1, 0) == BARRIER_BROKEN, "another applier: %s", err.message);
    check(barrier_done(&b, 1, 1, &err) == BARRIER_BROKEN, "done too early: %s", err.message);
    check(reach(&b, 2, 1, 1, 1) == BARRIER_LET_APPLIER_GO, "both are there");
    check(barrier_done(&b, 0, 1, &err) == BARRIER_BROKEN, "done by the wrong one: %s", err.message);
    check(barrier_done(&b, 1, 2, &err) == BARRIER_BROKEN, "the wrong one done: %s", err.message);
    check(reach(&b, 2, 0, 1, 1) == BARRIER_BROKEN, "reached while it is applied: %s", err.message);
    check(barrier_done(&b, 1, 1, &err) == BARRIER_LET_OTHERS_GO, "done");
    check(barrier_done(&b, 1, 1, &err) == BARRIER_BROKEN, "done twice: %s", err.message);
    check(reach(&b, 2, 0, 1, 1) == BARRIER_BROKEN, "an old barrier: %s", err.message);
    check(reach(&b, 2, 0, 2, 0) == BARRIER_WAIT, "the next one");
}

int
main(void)
{
    orders();
    all_shards();
    broken();
    return check_done();
}
