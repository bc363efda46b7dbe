/* loop.c: see loop.h. */
#include "pg-table-read/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/sig.h"
#include "pg-table-read/hearing.h"
#include "pg-table-read/limits.h"
#include "pg-table-read/ranges.h"

struct loop {
    struct copy copy;
    int out_fd;
    int signal_fd;
    struct pollfd fds[COPY_WORKERS_MAX + 3]; /* the readers, the output, signals, ackd */
};

/* The next program is gone. At the end of the stream it ends before this program. */
static int
output_gone(struct loop *l, struct err *err)
{
    if (!l->copy.told_to_stop && !hearing_stream_has_ended(&l->copy))
        return -1;
    l->copy.ended = true;
    buf_reset(&l->copy.out, 0);
    *err = (struct err){0};
    return 0;
}

/* The questions for ackd go first, because workers answer as soon as they read. */
static int
write_output(struct loop *l, struct err *err)
{
    struct buf *out = &l->copy.out;

    if (state_has_ackd(&l->copy) && ackconn_flush(&l->copy.ack, err) != 0)
        return -1;
    while (buf_len(out) > 0 && buf_len(&l->copy.ack.out) == 0) {
        struct bytes data = {.data = out->data + out->start, .len = buf_len(out)};
        int64_t n;

        if (data.len > IO_CHUNK)
            data.len = IO_CHUNK;
        n = io_write_some(l->out_fd, data, err);
        if (n < 0)
            return output_gone(l, err);
        if (n == 0)
            return 0;
        buf_consume(out, (size_t)n);
    }
    buf_reset(out, 2 * COPY_OUT_LIMIT);
    return 0;
}

static short
wants_to_write(const struct buf *buf)
{
    return buf_len(buf) > 0 ? POLLOUT : 0;
}

static int
wait_for_something(struct loop *l, uint64_t deadline, struct err *err)
{
    struct copy *copy = &l->copy;
    size_t n = copy->readers_count;

    for (size_t i = 0; i < n; i++)
        l->fds[i] = (struct pollfd){.fd = ranges_fd(&copy->readers[i]), .events = POLLIN};
    l->fds[n] = (struct pollfd){.fd = l->out_fd, .events = wants_to_write(&copy->out)};
    l->fds[n + 1] = (struct pollfd){.fd = l->signal_fd, .events = POLLIN};
    l->fds[n + 2] = (struct pollfd){.fd = copy->draining && copy->begun ? -1 : copy->ack.fd,
                                    .events = (short)(POLLIN | wants_to_write(&copy->ack.out))};
    if (poll(l->fds, n + 3, deadline == 0 ? -1 : clock_poll_timeout(deadline)) < 0 &&
        errno != EINTR)
        return err_set(err, EXIT_PEER, "could not poll: %s", strerror(errno));
    if ((l->fds[n].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0)
        return 0;
    err_set(err, EXIT_PEER, "the next program in the pipeline is gone");
    err_neighbour(err);
    return output_gone(l, err);
}

static int
take_signal(struct loop *l, struct err *err)
{
    int signo = sig_read(l->signal_fd);

    if (signo == SIGHUP)
        limits_read(&l->copy);
    else if (signo != 0)
        return copy_stop(&l->copy, err);
    return 0;
}

/* n is the number of readers that were waited for. ackd may let further ones begin. The signal is
 * handled first, because ackd may end, too, if the pipeline is told to stop before a run begins. */
static int
serve(struct loop *l, size_t n, struct err *err)
{
    if (l->fds[n + 1].revents != 0 && take_signal(l, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (l->fds[i].fd >= 0 && l->fds[i].revents != 0 &&
            ranges_read(&l->copy, &l->copy.readers[i], err) != 0)
            return -1;
    return l->fds[n + 2].revents == 0 ? 0 : hearing_read(&l->copy, err);
}

static int
run(struct loop *l, struct err *err)
{
    while (!l->copy.ended || buf_len(&l->copy.out) > 0) {
        uint64_t deadline = 0;
        size_t n;

        if (copy_step(&l->copy, &deadline, err) != 0 || write_output(l, err) != 0)
            return -1;
        if (l->copy.ended && buf_len(&l->copy.out) == 0)
            return 0;
        n = l->copy.readers_count;
        if (wait_for_something(l, deadline, err) != 0 || serve(l, n, err) != 0)
            return -1;
    }
    return 0;
}

static int
open_output(struct loop *l, const struct options *options, struct err *err)
{
    l->out_fd = io_open_output(options->out, err);
    if (l->out_fd < 0)
        return -1;
    io_enlarge_pipe(l->out_fd, 4 * IO_CHUNK);
    l->out_fd = io_make_nonblocking(l->out_fd, err);
    if (l->out_fd < 0)
        return -1;
    l->signal_fd = sig_open(options->limits == NULL ? 0 : SIG_RELOAD, err);
    return l->signal_fd < 0 ? -1 : 0;
}

int
loop_run(const struct log *log, const struct options *options)
{
    struct loop *l = calloc(1, sizeof *l);
    struct err err = {0};
    int code = EXIT_DONE;

    if (l == NULL) {
        err_set(&err, EXIT_PEER, "out of memory at the start");
        return log_failure(log, &err);
    }
    if (open_output(l, options, &err) != 0 || copy_open(&l->copy, options, log, &err) != 0 ||
        run(l, &err) != 0)
        code = log_failure(log, &err);
    copy_free(&l->copy);
    free(l);
    return code;
}
