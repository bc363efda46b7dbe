/* loop.c: see loop.h. */
#include "route/loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/sig.h"

/* A worker's queue above this stops the input; one more read's frames may still be added to it. */
#define QUEUE_LIMIT (1u << 20)

static int
open_workers(struct options *o, struct err *err)
{
    for (size_t i = 0; i < o->workers_count; i++) {
        struct worker *worker = &o->workers[i];

        worker->fd = io_open_output(worker->path, err);
        if (worker->fd < 0)
            return -1;
        io_enlarge_pipe(worker->fd, 4 * IO_CHUNK);
        worker->fd = io_make_nonblocking(worker->fd, err);
        if (worker->fd < 0)
            return -1;
    }
    return 0;
}

static int
worker_gone(const struct worker *worker, struct err *err)
{
    err_set(err, EXIT_PEER, "the worker behind %s is gone", worker->path);
    return err_neighbour(err);
}

/* Once its `end` is written a worker may finish and go whenever it likes, before the others. */
static int
write_worker(struct worker *worker, bool ended, struct err *err)
{
    while (buf_len(&worker->out) > 0) {
        struct bytes data = {.data = worker->out.data + worker->out.start,
                             .len = buf_len(&worker->out)};
        int64_t n;

        if (data.len > IO_CHUNK)
            data.len = IO_CHUNK;
        n = io_write_some(worker->fd, data, err);
        if (n < 0)
            return worker_gone(worker, err);
        if (n == 0)
            return 0;
        buf_consume(&worker->out, (size_t)n);
    }
    buf_reset(&worker->out, 4 * QUEUE_LIMIT);
    if (ended) {
        close(worker->fd);
        worker->fd = -1;
    }
    return 0;
}

static int
route_available(struct loop *l, struct err *err)
{
    struct frame frame;
    enum frame_status status;

    while ((status = frame_next(&l->reader, &frame, err)) == FRAME_READY)
        if (route_frame(&l->router, &frame, err) != 0)
            return -1;
    return status == FRAME_BAD ? -1 : 0;
}

static int
read_input(struct loop *l, struct err *err)
{
    switch (frame_fill(&l->reader, l->in, err)) {
    case FILL_READ:
        return route_available(l, err);
    case FILL_AGAIN:
        return 0;
    case FILL_EOF:
        l->in_closed = true;
        if (l->router.ended && buf_len(&l->reader.buf) == 0)
            return 0;
        return frame_eof_error(&l->reader, "event", err);
    case FILL_FAILED:
        break;
    }
    return -1;
}

/* The queues decide what to wait for: the input only while none of them is full. */
static size_t
prepare_poll(struct loop *l)
{
    struct options *o = l->options;
    bool full = false;
    size_t pending = 0;

    for (size_t i = 0; i < o->workers_count; i++) {
        size_t queued = buf_len(&o->workers[i].out);

        full = full || queued >= QUEUE_LIMIT;
        pending += queued;
        l->fds[i] = (struct pollfd){.fd = o->workers[i].fd, .events = queued > 0 ? POLLOUT : 0};
    }
    l->fds[o->workers_count] =
        (struct pollfd){.fd = full || l->in_closed ? -1 : l->in, .events = POLLIN};
    return pending;
}

static int
serve_workers(struct loop *l, struct err *err)
{
    struct options *o = l->options;

    for (size_t i = 0; i < o->workers_count; i++) {
        short revents = l->fds[i].revents;

        if ((revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
            return worker_gone(&o->workers[i], err);
        if (revents != 0 && write_worker(&o->workers[i], l->router.ended, err) != 0)
            return -1;
    }
    return 0;
}

static int
write_new(struct loop *l, struct err *err)
{
    struct options *o = l->options;

    for (size_t i = 0; i < o->workers_count; i++)
        if (buf_len(&o->workers[i].out) > 0 &&
            write_worker(&o->workers[i], l->router.ended, err) != 0)
            return -1;
    return 0;
}

int
loop_run(struct loop *l, struct err *err)
{
    struct options *o = l->options;

    while (prepare_poll(l) > 0 || !l->in_closed) {
        if (poll(l->fds, o->workers_count + 1, -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_set(err, EXIT_PEER, "could not poll: %s", strerror(errno));
        }
        if (serve_workers(l, err) != 0)
            return -1;
        if (l->fds[o->workers_count].revents != 0 &&
            (read_input(l, err) != 0 || write_new(l, err) != 0))
            return -1;
    }
    return 0;
}

int
loop_open(struct loop *l, struct options *options, struct err *err)
{
    l->options = options;
    l->router.sinks = options->sinks;
    l->router.sinks_count = options->sinks_count;
    frame_reader_init(&l->reader, FRAME_MAX);
    l->in = io_open_input(options->in, err);
    if (l->in < 0 || open_workers(options, err) != 0)
        return -1;
    sig_wait_for_end();
    return 0;
}

void
loop_free(struct loop *l)
{
    router_free(&l->router);
    frame_reader_free(&l->reader);
}
