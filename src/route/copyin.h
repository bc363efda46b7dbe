/* copyin.h: route's second input, with copied rows from pg-table-read (docs/copy.md).
 *
 * A unit is one of the frames table, horizon and table end, or a range from its first frame to its
 * last. A whole unit is gathered in the workers' shares, and is then passed on between two
 * transactions. So no worker waits for the rest of a range, and an incomplete range reaches no
 * worker. When a unit is complete `ready` is set, and no frame is taken before copyin_pass_on.
 * Pure. */
#ifndef WALPIPE_COPYIN_H
#define WALPIPE_COPYIN_H

#include "route/spread.h"

/* Most lives that are open at a time, the same as ackd's open questions. */
#define COPYIN_LIVES_MAX 256

/* After this many bytes a range gets no further frame of rows. pg-table-read ends a range after the
 * row that reaches 4 MiB of text, and a row of small values is twice as long here. */
#define COPYIN_RANGE_MAX (16u << 20)

struct copyin_life {
    uint64_t number;
    uint32_t relid;
    bool sinks[WORKERS_MAX]; /* that take part, by their index */
    bool resync;             /* a barrier comes before its end as done */
};

/* Zero-initialise to use, and set router. */
struct copyin {
    struct router *router;
    bool ended;
    bool ready;
    size_t bytes; /* that were gathered, as they came */
    bool barrier; /* one comes before them, for sinks with several workers */

    /* Its own. */
    bool greeted;
    uint64_t last_life;
    struct copyin_life lives[COPYIN_LIVES_MAX];
    size_t lives_count;
    struct {
        bool open;
        bool ignored; /* its life has ended */
        uint64_t life;
        uint64_t number;
        uint64_t rows; /* of its frames `rows` */
    } range;
    struct spread spread;
};

/* Takes the next frame. The first must be hello, of the run that the router has heard of. Returns
 * -1 with err. Do not call it while ready is set. */
int copyin_frame(struct copyin *c, const struct frame *frame, struct err *err) MUST_CHECK;

/* Appends the gathered frames to the workers' streams. Call it between two transactions. */
int copyin_pass_on(struct copyin *c, struct err *err) MUST_CHECK;

#endif
