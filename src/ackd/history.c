/* history.c: see history.h. */
#include "ackd/history.h"

#include <math.h>

/* Points, so ten minutes and one minute. */
#define SLOT_WINDOW_MAX 60u
#define SLOT_WINDOW_MIN 6u

void
history_add(struct history *h, const struct history_point *point)
{
    h->points[h->next] = *point;
    h->next = (h->next + 1) % HISTORY_POINTS_MAX;
    if (h->count < HISTORY_POINTS_MAX)
        h->count++;
}

const struct history_point *
history_at(const struct history *h, uint32_t i)
{
    return &h->points[(h->next + HISTORY_POINTS_MAX - h->count + i) % HISTORY_POINTS_MAX];
}

/* The oldest point of the window, from which on the slot was known and had a limit. */
static uint32_t
window_start(const struct history *h)
{
    uint32_t first = h->count - 1;

    while (first > 0 && h->count - first < SLOT_WINDOW_MAX &&
           history_at(h, first - 1)->slot_known && history_at(h, first - 1)->safe_wal_size >= 0)
        first--;
    return first;
}

bool
history_slot_seconds(const struct history *h, double *seconds)
{
    const struct history_point *then, *now;
    double lost;

    if (h->count == 0)
        return false;
    now = history_at(h, h->count - 1);
    if (!now->slot_known)
        return false;
    *seconds = INFINITY;
    if (now->safe_wal_size < 0)
        return true;
    if (h->count - window_start(h) < SLOT_WINDOW_MIN + 1)
        return false;
    then = history_at(h, window_start(h));
    lost = (double)then->safe_wal_size - (double)now->safe_wal_size;
    if (lost > 0)
        *seconds = (double)now->safe_wal_size * (double)(now->time - then->time) / 1000.0 / lost;
    return true;
}
