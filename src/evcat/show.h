/* show.h: any frame of either stream as one JSON object on a line (evcat.1 lists the members). */
#ifndef WALPIPE_SHOW_H
#define WALPIPE_SHOW_H

#include <stdio.h>

#include "evcat/copied.h"

struct show {
    FILE *out;
    bool greeted;
    bool ended;
    bool wal;             /* for the wal stream, otherwise the event stream */
    bool copies;          /* an event stream that may bring rows which exist already */
    struct relmap tables; /* relid to struct relation */
    struct copied copied;
    struct row_event row; /* scratch */
    struct row_values values;
};

/* Shows the stream's first frame, which must be either stream's hello. */
int show_hello(struct show *s, const struct frame *frame, struct err *err) MUST_CHECK;

/* Shows any later frame. */
int show_frame(struct show *s, const struct frame *frame, struct err *err) MUST_CHECK;

void show_free(struct show *s);

#endif
