/* loop.h: the event stream on route's input, and a copy's on its second one; each worker's share of
 * them on the worker's output. One poll over all; while any worker's queue is full of the stream
 * the stream is not read, and while any is full the copy is not: the slowest worker stops the
 * readers. */
#ifndef WALPIPE_ROUTE_LOOP_H
#define WALPIPE_ROUTE_LOOP_H

#include <poll.h>

#include "route/copyin.h"
#include "route/options.h"

/* Zero-initialise to use. */
struct loop {
    struct options *options;
    const struct log *log;
    struct router router;
    struct frame_reader reader;
    int in;
    bool in_closed;
    struct copyin copyin;
    struct frame_reader copy_reader;
    int copy;                           /* -1: there is none, or it is over */
    uint64_t copy_turn_at;              /* the stream's byte from which on it is the copy's turn */
    struct pollfd fds[WORKERS_MAX + 2]; /* the workers, then the input and the copy's */
};

/* Opens the inputs and every worker's output. options and log must outlive the loop, which is to be
 * freed also after a failure. */
int loop_open(struct loop *loop, struct options *options, const struct log *log,
              struct err *err) MUST_CHECK;

/* Runs to the end of the stream. */
int loop_run(struct loop *loop, struct err *err) MUST_CHECK;

void loop_free(struct loop *loop);

#endif
