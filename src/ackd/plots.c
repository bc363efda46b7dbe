/* plots.c: see plots.h. */
#include "ackd/plots.h"

#include <time.h>

#include "ackd/report.h"
#include "lib/clock.h"

uint64_t
plots_deadline(const struct ackd *a)
{
    return a->history.due_at == 0 ? 1 : a->history.due_at;
}

static void
add_sinks(const struct ackd *a, struct history_point *p)
{
    for (uint32_t i = 0; i < a->workers_count; i++) {
        const struct worker *w = &a->workers[i];

        if (w->sink >= HISTORY_SINKS_MAX)
            continue;
        p->changes[w->sink] += w->metrics.events;
        p->copied[w->sink] += w->metrics.copies.rows;
    }
}

static void
take(struct ackd *a)
{
    struct history_point p = {.time = (int64_t)time(NULL) * 1000, .lag_micros = -1};
    uint64_t micros;

    p.lag_known = report_lag(a, &p.lag_bytes);
    if (report_lag_micros(a, &micros))
        p.lag_micros = (int64_t)micros;
    p.wal_lsn = report_newest(a);
    p.slot_known = a->slot_known;
    p.retained_bytes = a->slot.retained_bytes;
    p.safe_wal_size = a->slot_known ? a->slot.safe_wal_size : -1;
    add_sinks(a, &p);
    history_add(&a->history, &p);
}

void
plots_turn(struct ackd *a, uint64_t now)
{
    if (now < a->history.due_at)
        return;
    a->history.due_at = now + HISTORY_STEP_MICROS;
    take(a);
}
