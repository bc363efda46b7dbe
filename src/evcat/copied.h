/* copied.h: the frames that bring rows which exist already (docs/events.7), as JSON lines. */
#ifndef WALPIPE_EVCAT_COPIED_H
#define WALPIPE_EVCAT_COPIED_H

#include <stdio.h>

#include "lib/copyevent.h"
#include "lib/relmap.h"

/* Zero-initialise to use. */
struct copied {
    uint64_t life; /* of the last range */
    uint64_t number;
    struct relation relation;         /* the columns of its rows, with block NULL if none came */
    struct value values[COLUMNS_MAX]; /* scratch */
};

/* type is from FRAME_COPYTABLE on. tables maps a relid to its struct relation. */
int copied_show(struct copied *c, FILE *out, const struct relmap *tables, uint8_t type,
                struct cursor *body, uint32_t elements, struct err *err) MUST_CHECK;

void copied_free(struct copied *c);

#endif
