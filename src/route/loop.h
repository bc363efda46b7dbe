/* loop.h: the event stream on route's input, each worker's share of it on the worker's output. One
 * poll over all of them; while any worker's queue is full the input is not read, so the slowest
 * worker stops the reader. */
#ifndef WALPIPE_ROUTE_LOOP_H
#define WALPIPE_ROUTE_LOOP_H

#include <poll.h>

#include "route/options.h"

/* Zero-initialise to use. */
struct loop {
    struct options *options;
    struct router router;
    struct frame_reader reader;
    int in;
    bool in_closed;
    struct pollfd fds[WORKERS_MAX + 1]; /* the workers, then the input */
};

/* Opens the input and every worker's output. options must outlive the loop, which is to be freed
 * also after a failure. */
int loop_open(struct loop *loop, struct options *options, struct err *err) MUST_CHECK;

/* Runs to the end of the stream. */
int loop_run(struct loop *loop, struct err *err) MUST_CHECK;

void loop_free(struct loop *loop);

#endif
