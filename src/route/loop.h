/* loop.h: reads the event stream from route's input, and a copy's from its second one, and writes
 * each worker's share to the worker's output. It has one poll over all. The stream is not read
 * while a worker's queue is full of the stream, and the copy is not read while any queue is full.
 * So the slowest worker stops the readers. */
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
    int copy;                           /* -1 if there is none, or it is over */
    uint64_t copy_turn_at;              /* the stream's byte at which the copy's turn begins */
    struct pollfd fds[WORKERS_MAX + 2]; /* the workers, then the input and the copy's */
};

/* Opens the inputs and every worker's output. options and log must outlive the loop. Free the loop
 * also after a failure. */
int loop_open(struct loop *loop, struct options *options, const struct log *log,
              struct err *err) MUST_CHECK;

/* Runs to the end of the stream. */
int loop_run(struct loop *loop, struct err *err) MUST_CHECK;

void loop_free(struct loop *loop);

#endif
