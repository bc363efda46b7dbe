/* ackd_ledger.c: every state that three workers, pg-wal-read and six LSNs can reach, by any
 * interleaving of any length, and every next message in each of them. No LSN may be called safe
 * that some worker does not have (traps 8, 11, 12, 160, 164).
 * links: ackd/ledger; */
#include <stdlib.h>
#include <string.h>

#include "ackd/ledger.h"
#include "check.h"

enum { WORKERS = 3, TOP = 5, START = 1 };

/* ---- the closure over all states ---- */

/* LSNs are 0 to TOP. A worker is unregistered or (floor, reached). */
#define WORKER_CODES ((TOP + 1) * (TOP + 1) + 1)
#define STATES       (WORKER_CODES * WORKER_CODES * WORKER_CODES * (TOP + 1) * (TOP + 1))

static bool seen[STATES];
static struct ledger queue[20000];
static size_t queue_len;
static size_t bad_steps, steps;

static size_t
code_of(const struct ledger *l)
{
    size_t code = 0;

    for (uint32_t i = 0; i < WORKERS; i++) {
        const struct ledger_worker *w = &l->workers[i];

        code = code * WORKER_CODES +
               (w->registered ? 1 + (size_t)w->floor * (TOP + 1) + (size_t)w->reached : 0);
    }
    return (code * (TOP + 1) + (size_t)l->received) * (TOP + 1) + (size_t)l->safe;
}

static void
visit(const struct ledger *l)
{
    size_t code = code_of(l);

    if (seen[code])
        return;
    if (queue_len == sizeof queue / sizeof *queue)
        abort();
    seen[code] = true;
    queue[queue_len++] = *l;
}

/* The rule for any step, whatever the message was. */
static bool
step_is_sound(const struct ledger *before, const struct ledger *after)
{
    uint64_t minimum = after->received;
    bool all = true, ahead = false;

    for (uint32_t i = 0; i < WORKERS; i++) {
        const struct ledger_worker *w = &after->workers[i];

        if (w->detached)
            continue;
        all = all && w->registered;
        ahead = ahead || w->reached > after->received;
        if (w->registered && w->reached < minimum)
            minimum = w->reached;
        if (w->registered && w->reached < before->workers[i].reached)
            return false; /* no worker goes back */
    }
    if (after->safe < before->safe || after->safe < START || after->safe > after->received)
        return false;
    if (after->safe != before->safe && (!all || ahead || after->safe > minimum))
        return false; /* reported as safe while some worker does not have it */
    if (all && !ahead && after->safe != minimum)
        return false; /* held back for nothing, while the source's disk fills */
    return all || after->safe == START;
}

static void
step(const struct ledger *before, const struct ledger *after, bool expected)
{
    steps++;
    if (!expected || !step_is_sound(before, after))
        bad_steps++;
    visit(after);
}

static uint64_t
higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void
try_registering(const struct ledger *before, uint32_t worker)
{
    for (uint64_t durable = 0; durable <= TOP; durable++) {
        struct ledger after = *before;

        /* admission.c refuses a worker that is behind the slot */
        if (durable != 0 && durable < START)
            continue;
        ledger_register(&after, worker, durable);
        step(before, &after, after.workers[worker].reached == higher(durable, START));
    }
}

static void
try_reporting(const struct ledger *before, uint32_t worker)
{
    const struct ledger_worker *w = &before->workers[worker];

    for (uint64_t lsn = 0; lsn <= TOP; lsn++) {
        struct ledger after = *before;
        enum ledger_verdict verdict = ledger_reached(&after, worker, lsn);
        uint64_t said = higher(lsn, w->floor);
        enum ledger_verdict right = said < w->reached ? LEDGER_BACKWARDS
                                    : said > w->reached && said > before->received
                                        ? LEDGER_BEYOND_RECEIVED
                                        : LEDGER_OK;
        bool untouched = memcmp(&after, before, sizeof after) == 0;
        bool taken = after.workers[worker].reached == higher(lsn, w->floor);

        step(before, &after, verdict == right && (verdict == LEDGER_OK ? taken : untouched));
    }
}

static void
try_receiving(const struct ledger *before)
{
    for (uint64_t lsn = 0; lsn <= TOP; lsn++) {
        struct ledger after = *before;
        enum ledger_verdict verdict = ledger_received(&after, lsn);
        bool back = higher(lsn, START) < before->received;

        step(before, &after,
             back ? verdict == LEDGER_BACKWARDS && memcmp(&after, before, sizeof after) == 0
                  : verdict == LEDGER_OK && after.received == higher(lsn, START));
    }
}

static void
explore(void)
{
    struct ledger first;

    ledger_begin(&first, WORKERS, START);
    visit(&first);
    for (size_t at = 0; at < queue_len; at++) {
        struct ledger before = queue[at];

        try_receiving(&before);
        for (uint32_t i = 0; i < WORKERS; i++)
            if (before.workers[i].registered)
                try_reporting(&before, i);
            else
                try_registering(&before, i);
    }
    check(queue_len > 5000, "reached %zu states by %zu steps", queue_len, steps);
    check(bad_steps == 0, "every step keeps the rule (%zu do not)", bad_steps);
}

/* ---- the closure with a paused worker ---- */

/* Any messages of the others, in any order. The paused one sends none. */
static void
explore_paused(uint32_t paused)
{
    struct ledger first;
    size_t moved = 0;

    memset(seen, 0, sizeof seen);
    queue_len = bad_steps = steps = 0;
    ledger_begin(&first, WORKERS, START);
    ledger_pause(&first, paused);
    visit(&first);
    for (size_t at = 0; at < queue_len; at++) {
        struct ledger before = queue[at];

        moved += before.safe != START || before.workers[paused].reached != START;
        try_receiving(&before);
        for (uint32_t i = 0; i < WORKERS; i++)
            if (i != paused && before.workers[i].registered)
                try_reporting(&before, i);
            else if (i != paused)
                try_registering(&before, i);
    }
    check(queue_len > 500, "worker %u is paused: reached %zu states by %zu steps", paused,
          queue_len, steps);
    check(moved == 0, "nothing beyond the slot's LSN at the start is safe in any of them");
}

/* ---- the closure with detached workers ---- */

/* The rule holds for the attached ones, by step_is_sound: nothing is held back for a detached
 * worker, and nothing is safe that an attached one lacks. It never moves by itself. */
static void
explore_detached(uint32_t first_detached, uint32_t count)
{
    struct ledger first;
    size_t touched = 0, beyond = 0;

    memset(seen, 0, sizeof seen);
    queue_len = bad_steps = steps = 0;
    ledger_begin(&first, WORKERS, START);
    for (uint32_t i = 0; i < count; i++)
        ledger_detach(&first, (first_detached + i) % WORKERS);
    visit(&first);
    for (size_t at = 0; at < queue_len; at++) {
        struct ledger before = queue[at];

        beyond += before.safe > START;
        try_receiving(&before);
        for (uint32_t i = 0; i < WORKERS; i++) {
            touched += before.workers[i].detached && before.workers[i].reached != 0;
            if (!before.workers[i].detached && before.workers[i].registered)
                try_reporting(&before, i);
            else if (!before.workers[i].detached)
                try_registering(&before, i);
        }
    }
    check(queue_len >= 50 && bad_steps == 0 && touched == 0,
          "worker %u and %u more are detached: %zu states, every step of the others keeps the rule",
          first_detached, count - 1, queue_len);
    check(beyond > 0, "and the others move the safe LSN");
}

/* One is detached, one paused: the paused one holds, as without the other. */
static void
explore_both(uint32_t detached, uint32_t paused)
{
    struct ledger first;
    size_t moved = 0;

    memset(seen, 0, sizeof seen);
    queue_len = bad_steps = steps = 0;
    ledger_begin(&first, WORKERS, START);
    ledger_detach(&first, detached);
    ledger_pause(&first, paused);
    visit(&first);
    for (size_t at = 0; at < queue_len; at++) {
        struct ledger before = queue[at];

        moved += before.safe != START;
        try_receiving(&before);
        for (uint32_t i = 0; i < WORKERS; i++)
            if (i != detached && i != paused && before.workers[i].registered)
                try_reporting(&before, i);
            else if (i != detached && i != paused)
                try_registering(&before, i);
    }
    check(queue_len > 20 && moved == 0,
          "worker %u is detached, and %u, paused, holds back all: %zu states", detached, paused,
          queue_len);
}

/* ---- the stories behind it ---- */

static void
detached_worker(void)
{
    struct ledger l;

    ledger_begin(&l, 3, 100);
    ledger_detach(&l, 2);
    ledger_register(&l, 0, 0);
    check(!ledger_complete(&l), "a detached worker does not stand for another one");
    ledger_register(&l, 1, 0);
    check(ledger_complete(&l), "the run is complete without it");
    check(ledger_received(&l, 900) == LEDGER_OK && ledger_reached(&l, 0, 900) == LEDGER_OK &&
              l.safe == 100 && ledger_reached(&l, 1, 500) == LEDGER_OK && l.safe == 500,
          "the slower one of the others decides, not the detached one");
}

static void
paused_worker(void)
{
    struct ledger l;

    ledger_begin(&l, 2, 100);
    ledger_pause(&l, 1);
    check(!ledger_complete(&l), "a paused worker does not stand for the others");
    ledger_register(&l, 0, 0);
    check(ledger_complete(&l), "the run is complete without it");
    check(ledger_received(&l, 900) == LEDGER_OK && ledger_reached(&l, 0, 900) == LEDGER_OK &&
              l.safe == 100,
          "and confirms nothing that it does not have");
}

static void
late_worker(void)
{
    struct ledger l;

    ledger_begin(&l, 2, 100);
    ledger_register(&l, 0, 0);
    check(ledger_received(&l, 900) == LEDGER_OK && ledger_reached(&l, 0, 900) == LEDGER_OK &&
              l.safe == 100,
          "nothing is safe while a worker is missing (trap 160)");
    ledger_register(&l, 1, 0);
    check(l.safe == 100, "nor when it has registered without a progress of its own");
    check(ledger_reached(&l, 1, 500) == LEDGER_OK && l.safe == 500, "then the slower one decides");
}

static void
target_ahead_of_the_slot(void)
{
    struct ledger l;

    ledger_begin(&l, 1, 100);
    ledger_register(&l, 0, 300);
    check(l.safe == 100, "a target ahead of the slot confirms nothing by itself (traps 11, 13)");
    check(ledger_received(&l, 200) == LEDGER_OK && l.safe == 100,
          "nor in the middle of the replay");
    check(ledger_reached(&l, 0, 150) == LEDGER_OK && l.workers[0].reached == 300,
          "a report during the replay is no step back");
    check(ledger_reached(&l, 0, 300) == LEDGER_OK && l.safe == 100,
          "the bug was that saying again what it had registered with was taken for a report of "
          "what was never received");
    check(ledger_reached(&l, 0, 301) == LEDGER_BEYOND_RECEIVED, "more than that it cannot have");
    check(ledger_received(&l, 300) == LEDGER_OK && l.safe == 300,
          "it does when the replay is over");
}

static void
maximum(void)
{
    struct ledger l;

    ledger_begin(&l, WORKERS_MAX, UINT64_MAX - 2);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        ledger_register(&l, i, 0);
    check(ledger_received(&l, UINT64_MAX) == LEDGER_OK, "LSNs up to the last one");
    for (uint32_t i = 0; i + 1 < WORKERS_MAX; i++)
        if (ledger_reached(&l, i, UINT64_MAX) != LEDGER_OK)
            abort();
    check(l.safe == UINT64_MAX - 2, "the last of %u workers holds all back", WORKERS_MAX);
    check(ledger_reached(&l, WORKERS_MAX - 1, UINT64_MAX - 1) == LEDGER_OK &&
              l.safe == UINT64_MAX - 1,
          "and lets go what it has");
}

int
main(void)
{
    explore();
    for (uint32_t i = 0; i < WORKERS; i++)
        explore_paused(i);
    for (uint32_t i = 0; i < WORKERS; i++) {
        explore_detached(i, 1);
        explore_detached(i, 2);
        explore_both(i, (i + 1) % WORKERS);
        explore_both(i, (i + 2) % WORKERS);
    }
    paused_worker();
    detached_worker();
    late_worker();
    target_ahead_of_the_slot();
    maximum();
    return check_done();
}
