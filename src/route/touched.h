/* touched.h: what a sink's workers are told of a change that another worker applies behind a
 * barrier, when rows of its table are, or were, copied in this run: frames `touched`. Pure. */
#ifndef WALPIPE_TOUCHED_H
#define WALPIPE_TOUCHED_H

#include "lib/event.h"
#include "route/tables.h"

/* A row event: its frame, its head, and what is behind the head. */
struct row_frame {
    uint8_t type;
    struct bytes raw;
    struct row_header header;
    struct cursor rest;
    uint32_t elements;
};

/* Appends a frame if the row's table had a life: the old row where it was sent, or the new one.
 * values is scratch. -1 with err: malformed, or out of memory. */
int touched_by_row(const struct tables *tables, const struct row_frame *row,
                   struct row_values *values, struct buf *out, struct err *err) MUST_CHECK;

/* Appends a frame for each table of it that had a life. -1: out of memory. */
int touched_by_truncate(const struct tables *tables, const struct truncate_event *truncate,
                        struct buf *out) MUST_CHECK;

#endif
