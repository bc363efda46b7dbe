/* pgout-decode reads the wal stream and writes the event stream. Blocking. It reads the available
 * frames, decodes them and writes the events. While it cannot write, it does not read. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/log.h"
#include "lib/opt.h"
#include "lib/sandbox.h"
#include "lib/sig.h"
#include "pgout-decode/decode.h"

static const char *const origins[] = {"any", "none", NULL};

struct options {
    const char *in;
    const char *out;
    enum { ORIGIN_ANY, ORIGIN_NONE } origin;
    enum log_level log_level;
    enum log_format log_format;
};

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"in", "PATH", "listen on this Unix socket for the wal stream, not stdin", OPT_TEXT, TO(in)},
    {"out", "PATH", "send the event stream to this Unix socket, not stdout", OPT_TEXT, TO(out)},
    {"origin", "any|none", "none: drop changes that came to the source by replication", OPT_WORD,
     TO(origin), .words = origins},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "pgout-decode",
    .usage = "[--in PATH] [--out PATH] [--origin any|none]",
    .purpose = "Decodes pgoutput: reads pg-wal-read's wal stream, writes walpipe's event stream.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

struct pipeline {
    int in;
    int out_fd;
    bool greeted;
    struct frame_reader reader;
    struct buf out;
    struct decoder decoder;
};

static int
flush(struct pipeline *p, struct err *err)
{
    struct bytes data = {.data = p->out.data + p->out.start, .len = buf_len(&p->out)};

    if (data.len > 0 && io_write_all(p->out_fd, data, err) != 0)
        return -1;
    buf_reset(&p->out, 4 * IO_CHUNK);
    return 0;
}

/* Decodes every whole frame in the buffer. */
static int
decode_available(struct pipeline *p, struct err *err)
{
    struct frame frame;
    enum frame_status status;

    while ((status = frame_next(&p->reader, &frame, err)) == FRAME_READY) {
        if (!p->greeted) {
            if (decode_hello(&p->decoder, &frame, &p->out, err) != 0)
                return -1;
            p->greeted = true;
        } else if (decode_frame(&p->decoder, &frame, &p->out, err) != 0) {
            return -1;
        }
        if (buf_len(&p->out) >= IO_CHUNK && flush(p, err) != 0)
            return -1;
    }
    return status == FRAME_BAD ? -1 : flush(p, err);
}

/* Waits for input. Meanwhile notices if the reader of the output is gone, which an idle source
 * would hide. Behind its `end` the next program may finish before this one. */
static int
wait_for_input(const struct pipeline *p, struct err *err)
{
    struct pollfd fds[] = {{.fd = p->in, .events = POLLIN},
                           {.fd = p->decoder.ended ? -1 : p->out_fd}};

    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return err_set(err, EXIT_PEER, "could not poll: %s", strerror(errno));
    if ((fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0)
        return 0;
    err_set(err, EXIT_PEER, "the next program in the pipeline is gone");
    return err_neighbour(err);
}

static int
pump(struct pipeline *p, struct err *err)
{
    for (;;) {
        if (wait_for_input(p, err) != 0)
            return -1;
        switch (frame_fill(&p->reader, p->in, err)) {
        case FILL_READ:
            if (decode_available(p, err) != 0)
                return -1;
            break;
        case FILL_EOF:
            if (p->decoder.ended && buf_len(&p->reader.buf) == 0)
                return 0;
            return frame_eof_error(&p->reader, "wal", err);
        case FILL_AGAIN:
            break;
        case FILL_FAILED:
            return -1;
        }
    }
}

int
main(int argc, char **argv)
{
    struct log log = {.program = "pgout-decode", .level = LOG_INFO};
    struct options options = {.log_level = LOG_INFO};
    struct err err = {0};
    struct pipeline *p;
    int code = EXIT_DONE;

    switch (opt_parse(&program, argc, argv, &options, &err)) {
    case OPT_GO:
        break;
    case OPT_DONE:
        return EXIT_DONE;
    case OPT_BAD:
        return log_failure(&log, &err);
    }
    log_begin(&log, options.log_level, options.log_format);
    sig_ignore_pipe();
    p = calloc(1, sizeof *p);
    if (p == NULL) {
        err_set(&err, EXIT_PEER, "out of memory at the start");
        return log_failure(&log, &err);
    }
    p->decoder.local_only = options.origin == ORIGIN_NONE;
    frame_reader_init(&p->reader, FRAME_MAX);
    p->in = io_open_input(options.in, &err);
    p->out_fd = p->in < 0 ? -1 : io_open_output(options.out, &err);
    sig_wait_for_end();
    log_open_last_words(&log);
    if (p->out_fd >= 0 && sandbox_fits_build() && sandbox_enter() == SANDBOX_ABSENT)
        log_write(&log, LOG_DEBUG, "running without a sandbox: there is no seccomp here");
    if (p->out_fd < 0 || pump(p, &err) != 0)
        code = log_failure(&log, &err);
    frame_reader_free(&p->reader);
    buf_free(&p->out);
    decoder_free(&p->decoder);
    free(p);
    return code;
}
