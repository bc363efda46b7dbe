/* intake.c: see intake.h. */
#include "lib/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/grammar.h"

/* The longest wait between two attempts to reach a target. A person who has repaired it expects
 * rows within seconds. */
#define BACKOFF_FIRST_MILLIS 100
#define BACKOFF_MOST_MILLIS  5000

void
intake_init(struct intake *in, int fd)
{
    *in = (struct intake){
        .fd = fd,
        .target_fd = -1,
        .ack.fd = -1,
        .backoff = {.first_millis = BACKOFF_FIRST_MILLIS, .most_millis = BACKOFF_MOST_MILLIS}};
    frame_reader_init(&in->reader, FRAME_MAX);
}

/* Releases the memory of the last item. */
static void
let_go(struct intake *in)
{
    free(in->truncate.relids);
    in->truncate.relids = NULL;
    buf_free(&in->held);
}

void
intake_free(struct intake *in)
{
    let_go(in);
    tablecounts_free(&in->counts);
    layout_free(&in->layout);
    ackconn_close(&in->ack);
    frame_reader_free(&in->reader);
}

void
intake_release(struct intake *in)
{
    buf_free(&in->held);
    frame_reader_trim(&in->reader);
}

/* ---- a look ahead ---- */

/* An idle worker reads at least this much of a copy before it looks for other frames behind it. */
#define LOOK_AHEAD_MAX (4u << 20)

static bool
is_of_copy(const struct frame *frame)
{
    struct cursor body = frame->body;
    uint32_t elements;
    uint8_t type;

    return frame_type(&body, &type, &elements) &&
           (type == FRAME_WATERMARK || (type >= FRAME_COPYTABLE && type <= FRAME_HORIZON));
}

bool
intake_stream_waits(struct intake *in)
{
    struct pollfd fd = {.fd = in->fd, .events = POLLIN};
    struct frame_reader rest;
    struct err ignored = {0};
    struct frame frame;

    while (buf_len(&in->reader.buf) < LOOK_AHEAD_MAX && poll(&fd, 1, 0) > 0) {
        in->idle = false;
        if (frame_fill(&in->reader, in->fd, &ignored) != FILL_READ)
            return true;
    }
    if (buf_len(&in->reader.buf) >= LOOK_AHEAD_MAX)
        return true;
    rest = in->reader; /* reads on without owning the memory */
    while (frame_next(&rest, &frame, &ignored) == FRAME_READY)
        if (!is_of_copy(&frame))
            return true;
    return ignored.code != EXIT_DONE;
}

/* ---- start ---- */

static int
fill(struct intake *in, struct err *err)
{
    switch (frame_fill(&in->reader, in->fd, err)) {
    case FILL_READ:
    case FILL_AGAIN:
        return 0;
    case FILL_EOF:
        return frame_eof_error(&in->reader, "event", err);
    case FILL_FAILED:
        break;
    }
    return -1;
}

/* Waits for the next frame. */
static int
first_frame(struct intake *in, struct frame *frame, struct err *err)
{
    enum frame_status status;

    while ((status = frame_next(&in->reader, frame, err)) == FRAME_NEED_MORE)
        if (fill(in, err) != 0)
            return -1;
    return status == FRAME_READY ? 0 : -1;
}

static int
read_layout(struct intake *in, struct err *err)
{
    struct frame frame;
    uint32_t elements;
    struct bytes text;
    uint8_t type;

    if (first_frame(in, &frame, err) != 0)
        return -1;
    if (!frame_type(&frame.body, &type, &elements) || type != FRAME_LAYOUT ||
        !layout_decode(&frame.body, elements, &text)) {
        err_set(err, EXIT_REFUSED, "no layout follows the hello of a sink with several workers");
        return err_hint(err, "the programs of a pipeline must be of one walpipe release");
    }
    if (layout_parse(&in->layout, text, err) != 0)
        return -1;
    return in->layout.shards == in->hello.shards
               ? 0
               : err_set(err, EXIT_REFUSED, "the layout is not of %" PRIu32 " workers",
                         in->hello.shards);
}

int
intake_hello(struct intake *in, struct err *err)
{
    struct frame frame;

    in->layout.shards = 1;
    if (first_frame(in, &frame, err) != 0 ||
        (in->copies ? hello_decode_copy(&frame, &in->hello, err)
                    : hello_decode(&frame, "event", &in->hello, err)) != 0)
        return -1;
    return in->hello.shards > 1 ? read_layout(in, err) : 0;
}

int
intake_connect(struct intake *in, const char *program, const char *ackd, struct err *err)
{
    if (in->hello.sink[0] == '\0' || in->hello.shard >= in->hello.shards) {
        err_set(err, EXIT_REFUSED, "the stream is not for a sink's worker");
        return err_hint(err, "put route between pgout-decode and %s", program);
    }
    return ackclient_connect(&in->ack, ackd, err);
}

int
intake_register(struct intake *in, const char *program, uint64_t durable_lsn, uint32_t timeline,
                enum ack_position position, struct err *err)
{
    if (ackclient_register(&in->ack, program, &in->hello, durable_lsn, timeline, position, err) !=
        0)
        return -1;
    in->registered = true;
    return ackclient_target(&in->ack, true, "", err);
}

int64_t
intake_commit_time(const struct intake *in, uint64_t lsn)
{
    return lsn >= in->committed_lsn ? in->committed_time : 0;
}

int
intake_unknown_relation(const struct intake *in, uint32_t relid, struct err *err)
{
    char what[64];

    snprintf(what, sizeof what, "a change of relation %" PRIu32 " before its relation event",
             relid);
    return grammar_broken(in, what, err);
}

/* ---- waiting for input ---- */

enum { WAIT_IN, WAIT_ACKD, WAIT_TARGET, WAIT_COUNT };

/* Waits for any event. Returns 0 when more was read or it is time to look again, 1 with an item. */
static int
wait_for_more(struct intake *in, int timeout, struct intake_item *item, struct err *err)
{
    struct pollfd fds[WAIT_COUNT] = {[WAIT_IN] = {.fd = in->fd, .events = POLLIN},
                                     [WAIT_ACKD] = {.fd = in->ack.fd, .events = POLLIN | POLLRDHUP},
                                     [WAIT_TARGET] = {.fd = in->target_fd, .events = POLLIN}};
    int n = poll(fds, WAIT_COUNT, timeout);

    if (n < 0)
        return errno == EINTR
                   ? 0
                   : err_set(err, EXIT_PEER, "could not wait for the input: %s", strerror(errno));
    if (fds[WAIT_ACKD].revents != 0)
        return ackconn_gone_error(err);
    if (fds[WAIT_TARGET].revents != 0) {
        item->kind = INTAKE_TARGET;
        return 1;
    }
    if (fds[WAIT_IN].revents != 0) {
        in->idle = false;
        return fill(in, err);
    }
    in->idle = true;
    item->kind = INTAKE_IDLE;
    return 1;
}

/* ---- reports ---- */

/* If something that came is not durable yet, the next report sends the counts. */
static int
send_counts(struct intake *in, struct err *err)
{
    in->counts.due_at = 0;
    if (in->in_transaction || in->reported_lsn < in->committed_lsn)
        return 0;
    return tablecounts_send(&in->counts, &in->ack, false, err);
}

int
intake_reached(struct intake *in, const struct ack_reached *reached, struct err *err)
{
    in->reported_lsn = reached->lsn;
    if (ackclient_reached(&in->ack, reached, err) != 0)
        return -1;
    return send_counts(in, err);
}

int
intake_finished(struct intake *in, struct err *err)
{
    if (!in->in_transaction && tablecounts_send(&in->counts, &in->ack, true, err) != 0)
        return -1;
    return ackclient_finished(&in->ack, err);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The reader has no whole frame. */
static int
need_more(struct intake *in, uint64_t deadline, struct intake_item *item, struct err *err)
{
    int timeout;

    if (in->counts.due_at != 0 && clock_micros() >= in->counts.due_at && send_counts(in, err) != 0)
        return -1;
    timeout = clock_poll_timeout(earlier(deadline, in->counts.due_at));
    if (in->all_read)
        return frame_eof_error(&in->reader, "event", err);
    if (timeout == 0 && !in->idle) {
        in->idle = true;
        item->kind = INTAKE_IDLE;
        return 1;
    }
    return wait_for_more(in, in->idle ? timeout : 0, item, err);
}

int
intake_next(struct intake *in, uint64_t deadline, struct intake_item *item, struct err *err)
{
    if (in->held.data != NULL || in->truncate.relids != NULL)
        let_go(in);
    if (in->ended)
        return 1;
    for (;;) {
        int rc;

        switch (frame_next(&in->reader, &item->frame, err)) {
        case FRAME_READY:
            return grammar_take(in, item, err);
        case FRAME_BAD:
            return -1;
        case FRAME_NEED_MORE:
            rc = need_more(in, deadline, item, err);
            if (rc != 0)
                return rc < 0 ? -1 : 0;
        }
    }
}

int
intake_next_relation(struct intake *in, struct relation *relation, struct err *err)
{
    struct intake_item item;
    int rc;

    do
        rc = intake_next(in, 0, &item, err);
    while (rc == 0 && (item.kind == INTAKE_IDLE || item.kind == INTAKE_TABLEINFO ||
                       item.kind == INTAKE_LEFT_OUT));
    if (rc != 0 || item.kind == INTAKE_END)
        return rc < 0 ? -1 : 1;
    if (item.kind == INTAKE_RELATION)
        return relation_decode(&item.body, item.elements, relation, err);
    return err_set(err, EXIT_REFUSED, "frame type %u: --check reads relation events only",
                   item.type);
}

/* ---- barriers ---- */

int
intake_barrier_wait(struct intake *in, const struct intake_item *item, struct err *err)
{
    if (ackclient_barrier_wait(&in->ack, &item->barrier, err) != 0)
        return -1;
    in->barrier_open = item->barrier.applier == in->hello.shard;
    in->barrier_served = false;
    return 0;
}

int
intake_barrier_done(struct intake *in, struct err *err)
{
    in->barrier_open = in->barrier_served = false;
    return ackclient_barrier_done(&in->ack, in->barrier_id, err);
}

/* ---- a target that is down ---- */

int
intake_target_down(struct intake *in, const char *why, struct err *err)
{
    char text[sizeof err->message];

    if (!in->down) {
        in->down = true;
        snprintf(text, sizeof text, "waiting for the target: %.900s", why);
        in->say(in->context, true, text);
    }
    if (!in->registered)
        return 0;
    in->told_down = true;
    return ackclient_target(&in->ack, false, why, err);
}

int
intake_target_up(struct intake *in, struct err *err)
{
    backoff_forget(&in->backoff);
    if (in->down)
        in->say(in->context, false, "the target is back");
    in->down = false;
    if (!in->told_down)
        return 0;
    in->told_down = false;
    return ackclient_target(&in->ack, true, "", err);
}

/* The reader holds the whole rest of the input. Returns 0 if it ends with `end`. */
static int
require_end(const struct intake *in, struct err *err)
{
    struct frame_reader rest = in->reader; /* reads on without owning the memory */
    struct frame frame;
    uint32_t elements;
    bool ends = false;
    uint8_t type;

    while (frame_next(&rest, &frame, err) == FRAME_READY)
        ends = frame_type(&frame.body, &type, &elements) && type == FRAME_END;
    return ends && buf_len(&rest.buf) == 0 ? 0 : frame_eof_error(&rest, "event", err);
}

/* The writer is gone. Its last frames are still in the pipe, which is small. If they end with
 * `end`, the writer left in order, and everything that we hold must still get to the target. The
 * current item keeps its memory, and the reader continues in other memory. */
static int
read_the_rest(struct intake *in, struct err *err)
{
    struct buf *b = &in->reader.buf;
    enum fill_status status;

    if (in->held.data == NULL) {
        in->held = *b;
        *b = (struct buf){0};
        buf_append(b, in->held.data + in->held.start, buf_len(&in->held));
        if (b->failed)
            return err_set(err, EXIT_PEER, "out of memory for the rest of the input");
    }
    do
        status = frame_fill(&in->reader, in->fd, err);
    while (status == FILL_READ);
    if (status == FILL_FAILED)
        return -1;
    in->all_read = status == FILL_EOF;
    return in->all_read ? require_end(in, err) : 0;
}

int
intake_wait(struct intake *in, struct err *err)
{
    uint64_t until = clock_micros() + backoff_next(&in->backoff, backoff_random()) * 1000;

    for (;;) {
        struct pollfd fds[] = {{.fd = in->ack.fd, .events = POLLIN | POLLRDHUP},
                               {.fd = in->all_read ? -1 : in->fd, .events = POLLRDHUP}};
        int timeout = clock_poll_timeout(until);

        if (poll(fds, 2, timeout) > 0) {
            if (fds[0].revents != 0)
                return ackconn_gone_error(err);
            if (read_the_rest(in, err) != 0)
                return -1;
        } else if (timeout == 0) {
            return 0;
        }
    }
}
