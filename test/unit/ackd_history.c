/* The points of the plots, and the time until the slot is lost. links: ackd/history; libs: -lm */
#include "ackd/history.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"

static struct history *
new_history(void)
{
    struct history *h = calloc(1, sizeof *h);

    if (h == NULL)
        abort();
    return h;
}

static void
add(struct history *h, uint32_t i, int64_t safe)
{
    struct history_point p = {
        .time = INT64_C(1000000) + i * 10000, .slot_known = true, .safe_wal_size = safe};

    history_add(h, &p);
}

static void
test_ring(void)
{
    struct history *h = new_history();
    bool order = true;

    for (uint32_t i = 0; i < 2000; i++) {
        add(h, i, -1);
        order = order && history_at(h, h->count - 1)->time == 1000000 + (int64_t)i * 10000;
    }
    check(h->count == HISTORY_POINTS_MAX, "it is full");
    check(order, "the newest is the last one");
    for (uint32_t i = 1; i < h->count; i++)
        order = order && history_at(h, i)->time == history_at(h, i - 1)->time + 10000;
    check(order, "in the order of time");
    free(h);
}

static void
test_slot(void)
{
    struct history *h = new_history();
    double seconds = 0;

    check(!history_slot_seconds(h, &seconds), "nothing is known");
    add(h, 0, 100000);
    check(!history_slot_seconds(h, &seconds), "one point");
    for (uint32_t i = 1; i <= 5; i++)
        add(h, i, 100000 - (int64_t)i * 1000);
    check(!history_slot_seconds(h, &seconds), "less than a minute");
    add(h, 6, 94000);
    check(history_slot_seconds(h, &seconds) && fabs(seconds - 940) < 1e-6,
          "100 bytes a second, 94,000 are left");
    for (uint32_t i = 7; i <= 70; i++)
        add(h, i, 94000);
    check(history_slot_seconds(h, &seconds) && isinf(seconds), "it does not fall");
    add(h, 71, -1);
    check(history_slot_seconds(h, &seconds) && isinf(seconds), "no limit");
    add(h, 72, 5000);
    check(!history_slot_seconds(h, &seconds), "the limit is new");
    h->points[h->next - 1].slot_known = false;
    check(!history_slot_seconds(h, &seconds), "the slot is not known");
    free(h);
}

int
main(void)
{
    test_ring();
    test_slot();
    return check_done();
}
