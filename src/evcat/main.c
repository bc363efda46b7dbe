/* evcat reads either stream from stdin, and writes one JSON object per line to stdout. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "evcat/show.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/opt.h"
#include "lib/sig.h"

struct options {
    const char *in;
};

static const struct opt_spec specs[] = {
    {"in", "PATH", "listen on this Unix socket for the stream, not stdin", OPT_TEXT,
     .offset = offsetof(struct options, in)},
};

static const struct opt_program program = {
    .name = "evcat",
    .usage = "[--in PATH] < STREAM",
    .purpose = "Shows walpipe's wal stream or event stream as JSON, one object per line.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

static int
show_available(struct show *show, struct frame_reader *reader, struct err *err)
{
    struct frame frame;
    enum frame_status status;

    while ((status = frame_next(reader, &frame, err)) == FRAME_READY) {
        int shown = show->greeted ? show_frame(show, &frame, err) : show_hello(show, &frame, err);

        if (shown != 0)
            return -1;
    }
    if (status == FRAME_BAD)
        return -1;
    if (fflush(show->out) == 0 && !ferror(show->out))
        return 0;
    /* `evcat | head` has seen enough. */
    if (errno == EPIPE)
        exit(EXIT_DONE);
    return err_set(err, EXIT_PEER, "could not write the output: %s", strerror(errno));
}

static int
pump(struct show *show, int in, struct err *err)
{
    struct frame_reader reader;
    int result = -1;

    frame_reader_init(&reader, FRAME_MAX);
    for (;;) {
        enum fill_status status = frame_fill(&reader, in, err);

        if (status == FILL_FAILED)
            break;
        if (status == FILL_READ && show_available(show, &reader, err) != 0)
            break;
        if (status ==
            FILL_AGAIN) { /* another process made the descriptor that we share non-blocking */
            struct pollfd waiting = {.fd = in, .events = POLLIN};

            (void)poll(&waiting, 1, -1);
        }
        if (status == FILL_EOF) {
            bool clean = show->ended && buf_len(&reader.buf) == 0;

            result = clean ? 0 : frame_eof_error(&reader, show->wal ? "wal" : "event", err);
            break;
        }
    }
    frame_reader_free(&reader);
    return result;
}

/* A pipeline drains at Ctrl-C, and its last events must be shown. */
static bool
is_stream(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

int
main(int argc, char **argv)
{
    struct log log = {.program = "evcat", .level = LOG_INFO};
    struct options options = {0};
    struct err err = {0};
    struct show *show;
    int in, code = EXIT_DONE;

    switch (opt_parse(&program, argc, argv, &options, &err)) {
    case OPT_GO:
        break;
    case OPT_DONE:
        return EXIT_DONE;
    case OPT_BAD:
        return log_failure(&log, &err);
    }
    sig_ignore_pipe();
    show = calloc(1, sizeof *show);
    if (show == NULL) {
        err_set(&err, EXIT_PEER, "out of memory at the start");
        return log_failure(&log, &err);
    }
    show->out = stdout;
    in = io_open_input(options.in, &err);
    if (in >= 0 && is_stream(in))
        sig_wait_for_end();
    if (in < 0 || pump(show, in, &err) != 0) {
        fflush(stdout);
        code = log_failure(&log, &err);
    }
    show_free(show);
    free(show);
    return code;
}
