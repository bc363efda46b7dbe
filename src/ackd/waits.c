/* waits.c: see waits.h. */
#include "ackd/waits.h"

#include "lib/clock.h"

/* A worker that has changes to write and says nothing for so long waits for its target. */
#define QUIET_MICROS UINT64_C(1000000)

const char *
waits_word(enum waits waits)
{
    static const char *const words[WAITS_COUNT] = {
        [WAITS_NOTHING] = "nothing",   [WAITS_START] = "start",
        [WAITS_TIMER] = "timer",       [WAITS_SLOT] = "slot",
        [WAITS_UPSTREAM] = "upstream", [WAITS_DOWNSTREAM] = "downstream",
        [WAITS_TARGET] = "target",     [WAITS_BARRIER] = "barrier",
    };

    return words[waits];
}

enum waits
waits_reader(const struct ackd *a)
{
    if (a->waiting.message[0] != '\0')
        return a->waiting.standby ? WAITS_SLOT : WAITS_TIMER;
    if (!a->running || a->reader == NULL)
        return WAITS_START;
    return a->slot_known && a->slot.output_full ? WAITS_DOWNSTREAM : WAITS_UPSTREAM;
}

static bool
is_at_barrier(const struct ackd *a, const struct worker *w)
{
    const struct barrier *b = &a->sinks[w->sink].barrier;
    bool reached = (b->reached[w->shard / 64] >> w->shard % 64 & 1) != 0;

    return b->open && reached && !(b->applying && b->applier == w->shard);
}

enum waits
waits_worker(const struct ackd *a, uint32_t index)
{
    const struct worker *w = &a->workers[index];

    if (!w->registered)
        return WAITS_START;
    if (!w->target_alive)
        return WAITS_TARGET;
    if (is_at_barrier(a, w))
        return WAITS_BARRIER;
    if (a->ledger.workers[index].reached >= a->ledger.received)
        return WAITS_UPSTREAM;
    return clock_micros() - w->heard_at >= QUIET_MICROS ? WAITS_TARGET : WAITS_NOTHING;
}
