/* heldranges.h: the ranges of copied rows that a worker holds until their marks have come through
 * the stream (docs/copy.md, "Marks"). Knows no target. pg-table-read bounds how many there are. */
#ifndef WALPIPE_HELDRANGES_H
#define WALPIPE_HELDRANGES_H

#include "lib/copyevent.h"

struct heldrange {
    struct heldrange *next; /* in the order in which they came */
    struct range_event range;
    struct range_end_event end; /* of a whole one */
    bool whole;
    enum heldrange_fate {
        HELDRANGE_WAITS,
        HELDRANGE_WRITTEN, /* by the commit that is under way */
        HELDRANGE_DROPPED  /* it must be read again */
    } fate;
    struct buf missing; /* of an answer about missing rows, the keys in the form of copydetail.h */
    uint32_t rows_count;
    uint32_t absent_count;
    struct buf rows; /* encoded, as rows_event.rows */
    struct buf absent;
};

/* Zero-initialise to use. */
struct heldranges {
    struct heldrange *first;
    struct heldrange *open; /* the last one, while its frames come */
    const struct snapshot **snapshots;
    size_t snapshots_size;
};

/* ---- frames, in the order that intake.h ensures. Return -1 with err if malformed, not in order
 * (EXIT_BUG), or without memory ---- */

/* A range begins. The list owns the contents of range from now on, also after -1. Its sinks are
 * dropped, because they point into the frame. */
int heldranges_begin(struct heldranges *held, const struct range_event *range,
                     struct err *err) MUST_CHECK;

/* Adds rows, or absent keys, to the open range. type is that of the frame. */
int heldranges_rows(struct heldranges *held, uint8_t type, const struct rows_event *rows,
                    struct err *err) MUST_CHECK;

/* Ends the open range, which is whole then. Compares the number of its rows with the count in the
 * frame. */
int heldranges_end(struct heldranges *held, const struct range_end_event *end,
                   struct err *err) MUST_CHECK;

/* ---- ranges that are held ---- */

/* Returns the first whole range from `from` on whose mark is not above position, or NULL. */
struct heldrange *heldranges_due(struct heldrange *from, uint64_t position);

/* Frees a range, which is whole. */
void heldranges_drop(struct heldranges *held, struct heldrange *range);

/* Frees all whole ranges of a life. */
void heldranges_drop_life(struct heldranges *held, uint64_t life);

/* The snapshots of all ranges, including the open one. Valid until the next call. NULL when memory
 * is out. */
const struct snapshot *const *heldranges_snapshots(struct heldranges *held, size_t *count);

void heldranges_free(struct heldranges *held);

#endif
