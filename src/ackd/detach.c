/* detach.c: see detach.h. The file is on disk before a run leaves out the sink, so no position is
 * confirmed that its target lacks while it counts as a sink that follows. */
#include "ackd/detach.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/detachnote.h"
#include "lib/lsn.h"

/* A target that is restarted is back before that. */
#define PATIENCE_MICROS UINT64_C(30000000)

bool
detach_may(const struct ackd *a, const struct sink *s)
{
    if (s->detach_after == 0 || s->detached)
        return false;
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (&a->sinks[i] != s && !a->sinks[i].paused)
            return true;
    return false;
}

static uint64_t
higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* While a target cannot be asked, the file of an earlier run tells how far it was. */
static uint64_t
reached(const struct ackd *a, const struct sink *s)
{
    uint64_t before =
        higher(a->ledger.start, reached_find(a->reached, a->source.system_identifier, s->name));
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = s->first_worker; i < s->first_worker + s->shards; i++) {
        uint64_t lsn = a->workers[i].registered ? a->ledger.workers[i].reached : before;

        lowest = lsn < lowest ? lsn : lowest;
    }
    return lowest;
}

/* A worker fails while it is without its target. A slow one does not. */
static bool
worker_fails(const struct ackd *a, const struct worker *w, uint64_t now)
{
    uint64_t since = !w->registered ? a->began_at : w->target_alive ? now : w->down_since;

    return now - since >= PATIENCE_MICROS;
}

static const char *
fault_of(const struct ackd *a, const struct sink *s, uint64_t now)
{
    if (s->paused)
        return "it is paused";
    for (uint32_t i = s->first_worker; i < s->first_worker + s->shards; i++)
        if (worker_fails(a, &a->workers[i], now))
            return "its target does not answer";
    return NULL;
}

int
detach_sink(struct ackd *a, struct sink *s, uint64_t lsn, const char *why, struct err *err)
{
    struct detachnote before, note = {.since = (uint64_t)time(NULL), .lsn = lsn};
    struct err failure = {0};

    if (detachnote_read(a->dir_path, s->name, &before, &failure) == 0 && before.since != 0) {
        err_set(err, EXIT_REFUSED, "sink \"%s\" is detached since an earlier run, but was started",
                s->name);
        return err_hint(err,
                        "start the programs that walpipe print shows, which leaves it out, or "
                        "bring it back with walpipe resume --sink %s",
                        s->name);
    }
    snprintf(note.why, sizeof note.why, "%s", why);
    if (detachnote_write(a->dir_path, s->name, &note, &failure) != 0) {
        if (!s->detach_failed)
            log_write(&a->log, LOG_ERROR, "sink %s cannot be detached: %s", s->name,
                      failure.message);
        s->detach_failed = true;
        return 0;
    }
    err_set(err, EXIT_PEER,
            "sink %s is detached: %s; its target has the changes up to %s, and the source keeps no "
            "WAL for it any more",
            s->name, why, lsn_format(lsn).text);
    return err_hint(err,
                    "its tables lack changes from now on; walpipe resume --sink %s brings it back "
                    "by copying all of them again",
                    s->name);
}

/* A sink that never ran has nothing in its target that would tell later what the target lacks. */
static bool
has_run(const struct ackd *a, const struct sink *s)
{
    for (uint32_t i = s->first_worker; i < s->first_worker + s->shards; i++)
        if (a->workers[i].registered)
            return true;
    return reached_find(a->reached, a->source.system_identifier, s->name) != 0;
}

static int
look_at(struct ackd *a, struct sink *s, struct err *err)
{
    const char *fault = fault_of(a, s, clock_micros());
    uint64_t lsn = reached(a, s), end = a->slot.current_lsn;
    char why[96];

    if (!has_run(a, s))
        return 0;
    if (fault == NULL || end <= lsn || end - lsn <= s->detach_after)
        return 0;
    snprintf(why, sizeof why, "%s, and is %" PRIu64 " bytes of WAL behind", fault, end - lsn);
    return detach_sink(a, s, lsn, why, err);
}

int
detach_look(struct ackd *a, struct err *err)
{
    if (a->draining)
        return 0;
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (detach_may(a, &a->sinks[i]) && look_at(a, &a->sinks[i], err) != 0)
            return -1;
    return 0;
}
