/* loop.c: see loop.h. */
#include "route/loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/sig.h"

/* A worker's queue above this stops the input. The frames of one more read may still be added to
 * it. */
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

static void
consume(struct worker *worker, size_t n)
{
    size_t ahead = n < worker->ahead ? n : worker->ahead, copied = n - ahead;

    buf_consume(&worker->out, n);
    worker->ahead -= ahead;
    worker->copied -= copied < worker->copied ? copied : worker->copied;
}

/* After its `end` is written, a worker may finish and end at any time, before the others. */
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
        consume(worker, (size_t)n);
    }
    buf_reset(&worker->out, 4 * QUEUE_LIMIT);
    if (ended) {
        close(worker->fd);
        worker->fd = -1;
    }
    return 0;
}

/* Some worker's queue has no room for the stream. Its part of a copy's range does not count,
 * because that would stop the stream for the others as long as this worker does not read. */
static bool
is_full(const struct loop *l)
{
    const struct options *o = l->options;

    for (size_t i = 0; i < o->workers_count; i++)
        if (buf_len(&o->workers[i].out) - o->workers[i].copied >= QUEUE_LIMIT)
            return true;
    return false;
}

/* ---- the copy ---- */

/* Here the worker's part of a range counts, because a range is not queued while another one is
 * still unread. */
static bool
is_full_for_copy(const struct loop *l)
{
    const struct options *o = l->options;

    for (size_t i = 0; i < o->workers_count; i++)
        if (buf_len(&o->workers[i].out) >= QUEUE_LIMIT)
            return true;
    return false;
}

static void
close_copy(struct loop *l)
{
    if (l->copy >= 0)
        close(l->copy);
    l->copy = -1;
    l->copyin.ready = false;
}

/* The gathered frames may enter the workers' streams now, or soon. */
static bool
copy_waits(const struct loop *l)
{
    return l->copyin.ready && !l->router.in_transaction && !l->router.ended && !is_full_for_copy(l);
}

/* Takes the frames that were read, until some of them may be passed on. */
static int
take_copy(struct loop *l, struct err *err)
{
    enum frame_status status = FRAME_READY;
    struct frame frame;

    while (!l->copyin.ready && !l->copyin.ended &&
           (status = frame_next(&l->copy_reader, &frame, err)) == FRAME_READY)
        if (copyin_frame(&l->copyin, &frame, err) != 0)
            return -1;
    if (status == FRAME_BAD)
        return -1;
    if (status == FRAME_NEED_MORE)
        frame_reader_trim(&l->copy_reader);
    if (!l->copyin.ended || l->copy < 0)
        return 0;
    if (buf_len(&l->copy_reader.buf) > 0)
        return err_set(err, EXIT_REFUSED, "something follows the end frame of the copy's stream");
    log_write(l->log, LOG_INFO, "the copy has ended");
    close_copy(l);
    return 0;
}

/* The number of the stream's bytes that were routed. */
static uint64_t
routed(const struct loop *l)
{
    return l->reader.bytes_read - buf_len(&l->reader.buf);
}

/* The stream has priority. While it has input, it gets as many bytes as the copy got before. */
static int
pass_copy_on(struct loop *l, struct err *err)
{
    l->copy_turn_at = routed(l) + l->copyin.bytes;
    return copyin_pass_on(&l->copyin, err) == 0 ? take_copy(l, err) : -1;
}

static int
read_copy(struct loop *l, struct err *err)
{
    switch (frame_fill(&l->copy_reader, l->copy, err)) {
    case FILL_READ:
        return take_copy(l, err);
    case FILL_AGAIN:
        return 0;
    case FILL_EOF:
        frame_eof_error(&l->copy_reader, "copy's", err);
        return err_hint(err, "pg-table-read stopped; its own log says why");
    case FILL_FAILED:
        break;
    }
    return -1;
}

/* ---- the stream ---- */

static int
route_available(struct loop *l, struct err *err)
{
    struct frame frame;
    enum frame_status status;

    while ((status = frame_next(&l->reader, &frame, err)) == FRAME_READY) {
        if (route_frame(&l->router, &frame, err) != 0)
            return -1;
        if (l->copyin.ready && routed(l) >= l->copy_turn_at && copy_waits(l) &&
            pass_copy_on(l, err) != 0)
            return -1;
    }
    if (l->router.ended)
        close_copy(l);
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

/* ---- poll ---- */

/* The queues decide which input is polled. An input is polled only while each of them has room for
 * it. */
static size_t
prepare_poll(struct loop *l)
{
    struct options *o = l->options;
    bool full = is_full(l);
    bool copy = !is_full_for_copy(l) && l->router.greeted && !l->copyin.ready;
    size_t n = o->workers_count, pending = 0;

    for (size_t i = 0; i < n; i++) {
        size_t queued = buf_len(&o->workers[i].out);

        pending += queued;
        l->fds[i] = (struct pollfd){.fd = o->workers[i].fd, .events = queued > 0 ? POLLOUT : 0};
    }
    l->fds[n] = (struct pollfd){.fd = full || l->in_closed ? -1 : l->in, .events = POLLIN};
    l->fds[n + 1] = (struct pollfd){.fd = copy ? l->copy : -1, .events = POLLIN};
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

static int
serve_inputs(struct loop *l, struct err *err)
{
    const struct pollfd *in = &l->fds[l->options->workers_count], *copy = in + 1;
    bool copy_goes = in->revents == 0 && copy_waits(l);

    if (in->revents != 0 && read_input(l, err) != 0)
        return -1;
    if (copy_goes && pass_copy_on(l, err) != 0)
        return -1;
    /* The stream's input may have ended the copy. */
    if (copy->revents != 0 && l->copy >= 0 && read_copy(l, err) != 0)
        return -1;
    return in->revents != 0 || copy_goes ? write_new(l, err) : 0;
}

int
loop_run(struct loop *l, struct err *err)
{
    struct options *o = l->options;

    while (prepare_poll(l) > 0 || !l->in_closed) {
        if (poll(l->fds, o->workers_count + 2, copy_waits(l) ? 0 : -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_set(err, EXIT_PEER, "could not poll: %s", strerror(errno));
        }
        if (serve_workers(l, err) != 0 || serve_inputs(l, err) != 0)
            return -1;
    }
    return 0;
}

int
loop_open(struct loop *l, struct options *options, const struct log *log, struct err *err)
{
    l->options = options;
    l->log = log;
    l->router.sinks = options->sinks;
    l->router.sinks_count = options->sinks_count;
    l->copyin.router = &l->router;
    l->copy = -1;
    frame_reader_init(&l->reader, FRAME_MAX);
    frame_reader_init(&l->copy_reader, FRAME_MAX);
    l->in = io_open_input(options->in, err);
    if (l->in < 0 || open_workers(options, err) != 0)
        return -1;
    if (options->copy != NULL) {
        l->copy = io_open_input(options->copy, err);
        if (l->copy < 0)
            return -1;
    }
    sig_wait_for_end();
    return 0;
}

void
loop_free(struct loop *l)
{
    router_free(&l->router);
    frame_reader_free(&l->reader);
    frame_reader_free(&l->copy_reader);
}
