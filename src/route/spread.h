/* spread.h: distributes the frames of one range of a copy to the workers of its sinks. Each row,
 * and each key that is absent, goes to the worker that gets its changes. The frames are appended to
 * the workers' shares, which copyin.h passes on. Pure. */
#ifndef WALPIPE_SPREAD_H
#define WALPIPE_SPREAD_H

#include "lib/copyevent.h"
#include "route/route.h"

struct spread {
    struct router *router;
    bool sinks[WORKERS_MAX];              /* those that take the range, by their index */
    struct placement places[WORKERS_MAX]; /* of its rows, for those with several workers */
    struct value values[COLUMNS_MAX];     /* scratch */
};

/* Begins a range. raw is its frame, and sinks are set. All functions return -1 with err. */
int spread_begin(struct spread *s, const struct relation *relation, struct bytes raw,
                 struct err *err) MUST_CHECK;

/* type is FRAME_ROWS or FRAME_ABSENT. */
int spread_rows(struct spread *s, uint8_t type, const struct rows_event *rows,
                struct err *err) MUST_CHECK;

/* Each worker gets the number of its rows. */
int spread_end(struct spread *s, const struct range_end_event *end, struct err *err) MUST_CHECK;

#endif
