/* route: the event stream on its input, each worker's share of it on the worker's output. One poll
 * over all of them; while any worker's queue is full the input is not read, so the slowest worker
 * stops the reader. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/opt.h"
#include "lib/sandbox.h"
#include "lib/sig.h"
#include "route/route.h"

/* A worker's queue above this stops the input; one more read's frames may still be added to it. */
#define QUEUE_LIMIT (1u << 20)

enum { OPT_IN, OPT_SINK, OPT_SHARD_KEY, OPT_TABLES, OPT_TO, OPT_LOG_LEVEL };

static const struct opt_spec specs[] = {
    [OPT_IN] = {"in", "PATH", "listen on this Unix socket for the event stream, not stdin"},
    [OPT_SINK] = {"sink", "NAME", "begin a sink; the options below are of the last one named"},
    [OPT_SHARD_KEY] = {"shard-key", "KEY", "key, table or column:NAME (default: key)"},
    [OPT_TABLES] = {"tables", "LIST", "tables it takes: public.*, !public.audit (default: all)"},
    [OPT_TO] = {"to", "PATH", "a worker: FIFO, /dev/fd/N or Unix socket; as many as shards"},
    [OPT_LOG_LEVEL] = {"log-level", "LEVEL", "debug, info, warning or error (default: info)"},
};

static const struct opt_program program = {
    .name = "route",
    .usage = "--sink NAME [--shard-key KEY] [--tables LIST] --to PATH [--to PATH]... "
             "[--sink NAME ...]",
    .purpose = "Gives each worker of each sink its share of the event stream.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

struct options {
    const char *in;
    struct sink sinks[WORKERS_MAX];
    size_t sinks_count;
    struct worker workers[WORKERS_MAX]; /* of all sinks, one sink's after the other's */
    size_t workers_count;
};

/* ---- options ---- */

static int
add_sink(struct options *o, const char *name, struct err *err)
{
    if (o->sinks_count == WORKERS_MAX)
        return err_set(err, EXIT_REFUSED, "more than %u sinks", WORKERS_MAX);
    if (name[0] == '\0' || strlen(name) > NAME_MAX_BYTES)
        return err_set(err, EXIT_REFUSED, "sink name \"%s\" has not 1 to %d bytes", name,
                       NAME_MAX_BYTES);
    for (size_t i = 0; i < o->sinks_count; i++)
        if (strcmp(o->sinks[i].name, name) == 0)
            return err_set(err, EXIT_REFUSED, "sink \"%s\" is named twice", name);
    o->sinks[o->sinks_count++] =
        (struct sink){.name = name, .workers = &o->workers[o->workers_count]};
    return 0;
}

static int
set_shard_key(struct sink *sink, const char *value, struct err *err)
{
    static const char prefix[] = "column:";

    if (strcmp(value, "key") == 0) {
        sink->tables.shard_key = SHARD_BY_KEY;
    } else if (strcmp(value, "table") == 0) {
        sink->tables.shard_key = SHARD_BY_TABLE;
    } else if (strncmp(value, prefix, sizeof prefix - 1) == 0 && value[sizeof prefix - 1] != '\0') {
        sink->tables.shard_key = SHARD_BY_COLUMN;
        sink->tables.shard_column = value + sizeof prefix - 1;
    } else {
        return err_set(err, EXIT_REFUSED, "shard key \"%s\" is not key, table or column:NAME",
                       value);
    }
    return 0;
}

static int
add_worker(struct options *o, struct sink *sink, const char *path, struct err *err)
{
    if (o->workers_count == WORKERS_MAX)
        return err_set(err, EXIT_REFUSED, "more than %u workers", WORKERS_MAX);
    o->workers[o->workers_count++] = (struct worker){.path = path, .fd = -1};
    sink->shards++;
    return 0;
}

static int
take_option(int which, const char *value, struct options *o, struct log *log, struct err *err)
{
    struct sink *sink = o->sinks_count == 0 ? NULL : &o->sinks[o->sinks_count - 1];

    if ((which == OPT_SHARD_KEY || which == OPT_TABLES || which == OPT_TO) && sink == NULL)
        return err_set(err, EXIT_REFUSED, "--%s before the first --sink", specs[which].name);
    switch (which) {
    case OPT_IN:
        o->in = value;
        return 0;
    case OPT_SINK:
        return add_sink(o, value, err);
    case OPT_SHARD_KEY:
        return set_shard_key(sink, value, err);
    case OPT_TABLES:
        return filter_parse(&sink->tables.filter, value, err);
    case OPT_TO:
        return add_worker(o, sink, value, err);
    default:
        if (!log_level_parse(value, &log->level))
            return err_set(err, EXIT_REFUSED, "unknown log level \"%s\"", value);
        return 0;
    }
}

static int
require_options(const struct options *o, struct err *err)
{
    if (o->sinks_count == 0)
        return err_set(err, EXIT_REFUSED, "at least one --sink is needed");
    for (size_t i = 0; i < o->sinks_count; i++)
        if (o->sinks[i].shards == 0)
            return err_set(err, EXIT_REFUSED, "sink \"%s\" has no --to", o->sinks[i].name);
    return 0;
}

static int
parse_options(int argc, char **argv, struct options *o, struct log *log, struct err *err)
{
    struct opt opt = {.program = &program, .argc = argc, .argv = argv, .at = 1};
    int which;

    while ((which = opt_next(&opt, err)) >= 0)
        if (take_option(which, opt.value, o, log, err) != 0)
            return OPT_BAD;
    if (which != OPT_END)
        return which;
    if (opt.at < argc) {
        err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", argv[opt.at]);
        return OPT_BAD;
    }
    if (require_options(o, err) == 0)
        return OPT_END;
    err_hint(err, "see route --help");
    return OPT_BAD;
}

/* ---- the loop ---- */

struct loop {
    struct options *options;
    struct router router;
    struct frame_reader reader;
    int in;
    bool in_closed;
    struct pollfd fds[WORKERS_MAX + 1]; /* the workers, then the input */
};

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
    return err_hint(err, "its own log says why");
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

static int
pump(struct loop *l, struct err *err)
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
main(int argc, char **argv)
{
    static struct options options;
    static struct loop loop;
    struct log log = {.program = "route", .level = LOG_INFO};
    struct err err = {0};
    int which = parse_options(argc, argv, &options, &log, &err);
    int code = EXIT_DONE;
    bool opened;

    if (which == OPT_DONE)
        return EXIT_DONE;
    if (which == OPT_BAD)
        return log_failure(&log, &err);
    sig_ignore_pipe();
    sig_wait_for_end();
    loop.options = &options;
    loop.router.sinks = options.sinks;
    loop.router.sinks_count = options.sinks_count;
    frame_reader_init(&loop.reader, FRAME_MAX);
    loop.in = io_open_input(options.in, &err);
    opened = loop.in >= 0 && open_workers(&options, &err) == 0;
    if (opened && sandbox_fits_build() && sandbox_enter() == SANDBOX_ABSENT)
        log_write(&log, LOG_DEBUG, "running without a sandbox: there is no seccomp here");
    if (!opened || pump(&loop, &err) != 0)
        code = log_failure(&log, &err);
    router_free(&loop.router);
    frame_reader_free(&loop.reader);
    return code;
}
