/* status.c: see status.h. Two answers of ackd, SAMPLE_MILLIS apart: the second one is shown, the
 * difference gives the rates. A restart in between shows as another run id: no rates then. */
#include "walpipe/status.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/ackmsg.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/lsn.h"
#include "lib/sock.h"
#include "walpipe/statustext.h"

#define SAMPLE_MILLIS 1000

/* ackd answers at once; one that does not is stuck. */
#define ANSWER_SECONDS 5

static int
ask(int fd, struct err *err)
{
    struct ack_message request = {.type = ACK_STATUS_REQUEST};
    struct buf out = {0};
    int result;

    if (ackmsg_encode(&out, &request) != 0)
        result = err_set(err, EXIT_PEER, "out of memory for a message to ackd");
    else
        result = io_write_all(fd, (struct bytes){out.data, buf_len(&out)}, err);
    buf_free(&out);
    return result;
}

static int
hear(int fd, struct frame_reader *reader, struct ack_status *status, struct err *err)
{
    struct ack_message message;
    struct frame frame;
    enum frame_status next;

    while ((next = frame_next(reader, &frame, err)) == FRAME_NEED_MORE)
        switch (frame_fill(reader, fd, err)) {
        case FILL_READ:
            break;
        case FILL_AGAIN:
            err_set(err, EXIT_PEER, "ackd did not answer within %d seconds", ANSWER_SECONDS);
            return err_hint(err, "is it stopped, or the machine overloaded? see its log");
        case FILL_EOF:
            err_set(err, EXIT_PEER, "ackd closed the connection");
            return err_hint(err, "the pipeline is just ending or restarting: try again");
        case FILL_FAILED:
            return -1;
        }
    if (next == FRAME_BAD || ackmsg_decode(&frame, &message, err) != 0)
        return -1;
    if (message.type != ACK_STATUS || !ackmsg_status_decode(message.status, status)) {
        err_set(err, EXIT_REFUSED, "ackd's answer is not a status this walpipe understands");
        return err_hint(err, "walpipe and the running ackd must be of one release");
    }
    return 0;
}

static int
sample(int fd, struct ack_status *status, struct err *err)
{
    struct frame_reader reader;
    int result;

    frame_reader_init(&reader, ACK_FRAME_MAX);
    result = ask(fd, err) != 0 ? -1 : hear(fd, &reader, status, err);
    frame_reader_free(&reader);
    return result;
}

static int
open_ackd(const struct config *config, struct err *err)
{
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    int fd = sock_connect(config->socket, 0, err);

    if (fd < 0) {
        char why[sizeof err->message];

        memcpy(why, err->message, sizeof why);
        err_set(err, EXIT_PEER, "pipeline \"%s\" is not running: %.900s", config->name, why);
        return err_hint(err, "start it with walpipe run -c %.400s", config->path);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static int
sample_twice(const struct config *config, struct status_samples *s, struct err *err)
{
    int fd = open_ackd(config, err), result;

    if (fd < 0)
        return -1;
    result = sample(fd, &s->before, err);
    if (result == 0) {
        s->micros = clock_micros();
        poll(NULL, 0, SAMPLE_MILLIS);
        result = sample(fd, &s->now, err);
        s->micros = clock_micros() - s->micros;
    }
    close(fd);
    return result;
}

int
status_show(const struct config *config, const struct log *log, bool json)
{
    struct status_samples *samples = calloc(1, sizeof *samples);
    struct err err = {0};
    int code = EXIT_DONE;

    if (samples == NULL) {
        err_set(&err, EXIT_PEER, "out of memory for the status");
        return log_failure(log, &err);
    }
    if (sample_twice(config, samples, &err) != 0)
        code = log_failure(log, &err);
    else if (json)
        statustext_json(config->name, samples, stdout);
    else
        statustext_table(config->name, samples, stdout);
    free(samples);
    return code;
}
