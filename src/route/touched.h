/* touched.h: the frames `touched`. They inform a sink's workers about a change that another worker
 * applies after a barrier, if rows of its table are, or were, copied in this run. Pure. */
#ifndef WALPIPE_TOUCHED_H
#define WALPIPE_TOUCHED_H

#include "lib/event.h"
#include "route/tables.h"

/* A row event with its frame, its head, and the rest behind the head. */
struct row_frame {
    uint8_t type;
    struct bytes raw;
    struct row_header header;
    struct cursor rest;
    uint32_t elements;
};

/* Appends a frame if the row's table had a life. It has the old row if that was sent, otherwise the
 * new one. values is scratch. Returns -1 with err if it is malformed or memory is out. */
int touched_by_row(const struct tables *tables, const struct row_frame *row,
                   struct row_values *values, struct buf *out, struct err *err) MUST_CHECK;

/* Appends a frame for each table of it that had a life. Returns -1 when memory is out. */
int touched_by_truncate(const struct tables *tables, const struct truncate_event *truncate,
                        struct buf *out) MUST_CHECK;

#endif
