/* ledger.c: see ledger.h. */
#include "ackd/ledger.h"

static uint64_t
lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void
ledger_begin(struct ledger *l, uint32_t workers_count, uint64_t confirmed_lsn)
{
    *l = (struct ledger){.start = confirmed_lsn,
                         .received = confirmed_lsn,
                         .safe = confirmed_lsn,
                         .workers_count = workers_count};
}

bool
ledger_complete(const struct ledger *l)
{
    return l->registered_count + l->paused_count + l->detached_count == l->workers_count;
}

void
ledger_pause(struct ledger *l, uint32_t worker)
{
    struct ledger_worker *w = &l->workers[worker];

    w->paused = true;
    w->floor = w->reached = l->start;
    l->paused_count++;
}

void
ledger_detach(struct ledger *l, uint32_t worker)
{
    l->workers[worker].detached = true;
    l->detached_count++;
}

/* higher() ensures that the safe LSN never goes back, whatever the callers do. */
static void
settle(struct ledger *l)
{
    uint64_t minimum = l->received;

    if (!ledger_complete(l))
        return;
    for (uint32_t i = 0; i < l->workers_count; i++) {
        if (l->workers[i].detached)
            continue;
        if (l->workers[i].reached > l->received)
            return;
        minimum = lower(minimum, l->workers[i].reached);
    }
    l->safe = higher(l->safe, minimum);
}

void
ledger_register(struct ledger *l, uint32_t worker, uint64_t durable_lsn)
{
    struct ledger_worker *w = &l->workers[worker];

    w->registered = true;
    w->floor = w->reached = higher(l->start, durable_lsn);
    l->registered_count++;
    settle(l);
}

/* A replay passes positions that the worker had before the run, and the first keepalives of a
 * replication connection count from the slot's restart LSN. Both are below floor. The worker may
 * report again a position of that time, before the replay has come so far. */
enum ledger_verdict
ledger_reached(struct ledger *l, uint32_t worker, uint64_t lsn)
{
    struct ledger_worker *w = &l->workers[worker];

    lsn = higher(lsn, w->floor);
    if (lsn < w->reached)
        return LEDGER_BACKWARDS;
    if (lsn > w->reached && lsn > l->received)
        return LEDGER_BEYOND_RECEIVED;
    w->reached = lsn;
    settle(l);
    return LEDGER_OK;
}

enum ledger_verdict
ledger_received(struct ledger *l, uint64_t lsn)
{
    lsn = higher(lsn, l->start);
    if (lsn < l->received)
        return LEDGER_BACKWARDS;
    l->received = lsn;
    settle(l);
    return LEDGER_OK;
}
