/* heldranges.c: see heldranges.h. */
#include "lib/heldranges.h"

#include <inttypes.h>
#include <stdlib.h>

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for a range of copied rows");
}

static void
heldrange_free(struct heldrange *held)
{
    relation_free(&held->range.relation);
    snapshot_free(&held->range.snapshot);
    buf_free(&held->rows);
    buf_free(&held->absent);
    buf_free(&held->missing);
    free(held);
}

static struct heldrange **
last_place(struct heldranges *held)
{
    struct heldrange **place = &held->first;

    while (*place != NULL)
        place = &(*place)->next;
    return place;
}

int
heldranges_begin(struct heldranges *held, const struct range_event *range, struct err *err)
{
    struct heldrange *new = calloc(1, sizeof *new);

    if (new == NULL) {
        struct range_event lost = *range;

        relation_free(&lost.relation);
        snapshot_free(&lost.snapshot);
        return out_of_memory(err);
    }
    new->range = *range;
    new->range.sinks.count = 0;
    *last_place(held) = held->open = new;
    return 0;
}

/* The frame must be of the open range. Otherwise the stream is not in order. */
static int
require_open(const struct heldranges *held, uint64_t life, uint64_t number, struct err *err)
{
    const struct heldrange *open = held->open;

    if (open != NULL && open->range.life == life && open->range.number == number)
        return 0;
    return err_set(err, EXIT_BUG,
                   "the event stream is not in order: rows of range %" PRIu64 ".%" PRIu64
                   ", which is not the one that was begun",
                   life, number);
}

int
heldranges_rows(struct heldranges *held, uint8_t type, const struct rows_event *rows,
                struct err *err)
{
    struct heldrange *open = held->open;
    struct buf *to;

    if (require_open(held, rows->life, rows->number, err) != 0)
        return -1;
    to = type == FRAME_ROWS ? &open->rows : &open->absent;
    buf_append(to, rows->rows.data, rows->rows.len);
    if (type == FRAME_ROWS)
        open->rows_count += rows->count;
    else
        open->absent_count += rows->count;
    return to->failed ? out_of_memory(err) : 0;
}

int
heldranges_end(struct heldranges *held, const struct range_end_event *end, struct err *err)
{
    struct heldrange *open = held->open;

    if (require_open(held, end->life, end->number, err) != 0)
        return -1;
    if (end->rows != (uint64_t)open->rows_count + open->absent_count)
        return err_set(err, EXIT_BUG,
                       "range %" PRIu64 ".%" PRIu64 " had %" PRIu64
                       " rows and absent keys for this worker, %" PRIu64
                       " came: something was lost on the way",
                       end->life, end->number, end->rows,
                       (uint64_t)open->rows_count + open->absent_count);
    open->end = *end;
    open->whole = true;
    held->open = NULL;
    return 0;
}

struct heldrange *
heldranges_due(struct heldrange *from, uint64_t position)
{
    while (from != NULL && (!from->whole || from->range.mark > position))
        from = from->next;
    return from;
}

void
heldranges_drop(struct heldranges *held, struct heldrange *range)
{
    struct heldrange **place = &held->first;

    while (*place != range)
        place = &(*place)->next;
    *place = range->next;
    heldrange_free(range);
}

void
heldranges_drop_life(struct heldranges *held, uint64_t life)
{
    struct heldrange **place = &held->first;

    while (*place != NULL) {
        struct heldrange *range = *place;

        if (range->range.life != life || !range->whole) {
            place = &range->next;
            continue;
        }
        *place = range->next;
        heldrange_free(range);
    }
}

const struct snapshot *const *
heldranges_snapshots(struct heldranges *held, size_t *count)
{
    size_t n = 0;

    for (const struct heldrange *range = held->first; range != NULL; range = range->next)
        n++;
    if (n > held->snapshots_size || held->snapshots == NULL) {
        const struct snapshot **larger = realloc(held->snapshots, (n + 8) * sizeof *larger);

        if (larger == NULL)
            return NULL;
        held->snapshots = larger;
        held->snapshots_size = n + 8;
    }
    n = 0;
    for (const struct heldrange *range = held->first; range != NULL; range = range->next)
        held->snapshots[n++] = &range->range.snapshot;
    *count = n;
    return held->snapshots;
}

void
heldranges_free(struct heldranges *held)
{
    while (held->first != NULL) {
        struct heldrange *range = held->first;

        held->first = range->next;
        heldrange_free(range);
    }
    free(held->snapshots);
    *held = (struct heldranges){0};
}
