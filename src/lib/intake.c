/* intake.c: see intake.h. docs/events.7 has the grammar. */
#include "lib/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"

/* For waiting for a target. A person who has mended it expects rows within seconds. */
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

/* An idle worker takes in that much of a copy at least before it sees what is behind. */
#define LOOK_AHEAD_MAX (1u << 20)

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
                struct err *err)
{
    if (ackclient_register(&in->ack, program, &in->hello, durable_lsn, timeline, err) != 0)
        return -1;
    in->registered = true;
    return ackclient_target(&in->ack, true, "", err);
}

/* ---- the grammar ---- */

static int
not_in_order(const struct intake *in, const char *what, struct err *err)
{
    err->lsn = in->in_transaction ? in->begin.commit_lsn : in->committed_lsn;
    return err_set(err, EXIT_BUG, "the event stream is not in order: %s", what);
}

static int
malformed(const struct intake *in, const char *what, struct err *err)
{
    err->lsn = in->in_transaction ? in->begin.commit_lsn : in->committed_lsn;
    return err_set(err, EXIT_REFUSED, "malformed %s event", what);
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
    return not_in_order(in, what, err);
}

/* Counts a change of the open transaction. */
static inline int
count_change(struct intake *in, uint64_t ordinal, struct err *err)
{
    if (!in->in_transaction)
        return not_in_order(in, "a change outside of a transaction", err);
    if (ordinal <= in->ordinal)
        return not_in_order(in, "a change's ordinal does not grow", err);
    if (in->barrier_served)
        return not_in_order(in, "a second change before the barrier's is done", err);
    in->barrier_served = in->barrier_open;
    in->ordinal = ordinal;
    in->events++;
    return 0;
}

static inline int
take_row(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_ROW;
    if (!row_header_decode(&item->body, item->type, &item->header))
        return malformed(in, "row", err);
    tablecounts_change(&in->counts, item->header.relid, item->type);
    return count_change(in, item->header.ordinal, err);
}

static int
take_truncate(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_TRUNCATE;
    item->truncate = &in->truncate;
    if (truncate_decode(&item->body, item->elements, &in->truncate, err) != 0)
        return -1;
    for (uint32_t i = 0; i < in->truncate.count; i++)
        tablecounts_change(&in->counts, in->truncate.relids[i], item->type);
    return count_change(in, in->truncate.ordinal, err);
}

static int
take_begin(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_BEGIN;
    if (!begin_decode(&item->body, item->elements, &item->begin))
        return malformed(in, "begin", err);
    if (in->in_transaction)
        return not_in_order(in, "begin inside a transaction", err);
    if (in->barrier_open)
        return not_in_order(in, "begin where a barrier's change was expected", err);
    if (item->begin.commit_lsn < in->committed_lsn)
        return not_in_order(in, "a transaction before one that was committed earlier", err);
    in->begin = item->begin;
    in->in_transaction = in->begun = true;
    in->ordinal = in->events = 0;
    return 0;
}

static int
take_origin(const struct intake *in, struct intake_item *item, bool begun, struct err *err)
{
    item->kind = INTAKE_ORIGIN;
    if (!origin_decode(&item->body, item->elements, &item->origin))
        return malformed(in, "origin", err);
    if (!begun)
        return not_in_order(in, "an origin that is not right behind begin", err);
    return 0;
}

static int
take_message(const struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_MESSAGE;
    if (!message_decode(&item->body, item->elements, &item->message))
        return malformed(in, "message", err);
    if (item->message.transactional == in->in_transaction)
        return 0;
    return not_in_order(in,
                        in->in_transaction ? "a message of no transaction inside one"
                                           : "a transaction's message outside of it",
                        err);
}

static int
compare_commit(const struct intake *in, const struct commit_event *commit, struct err *err)
{
    if (!in->in_transaction || commit->commit_lsn != in->begin.commit_lsn ||
        commit->end_lsn < commit->commit_lsn)
        return not_in_order(in, "a commit that belongs to no begin", err);
    if (in->barrier_open)
        return not_in_order(in, "a commit where a barrier's change was expected", err);
    if (commit->end_lsn < in->watermark_lsn)
        return not_in_order(in, "a commit before a watermark that came earlier", err);
    if (commit->events == in->events)
        return 0;
    err->lsn = commit->commit_lsn;
    return err_set(err, EXIT_BUG,
                   "the transaction had %" PRIu64 " changes for this worker, %" PRIu64
                   " came: something was lost on the way",
                   commit->events, in->events);
}

static int
take_commit(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_COMMIT;
    if (!commit_decode(&item->body, item->elements, &item->commit))
        return malformed(in, "commit", err);
    if (compare_commit(in, &item->commit, err) != 0)
        return -1;
    in->in_transaction = false;
    in->committed_lsn = item->commit.end_lsn;
    in->committed_time = item->commit.commit_time;
    return 0;
}

static int
take_watermark(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_WATERMARK;
    if (!watermark_decode(&item->body, item->elements, &item->watermark))
        return malformed(in, "watermark", err);
    if (in->in_transaction)
        return not_in_order(in, "a watermark inside a transaction", err);
    if (item->watermark > in->watermark_lsn)
        in->watermark_lsn = item->watermark;
    return 0;
}

static int
take_barrier(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_BARRIER;
    if (!barrier_decode(&item->body, item->elements, &item->barrier) ||
        item->barrier.applier >= in->hello.shards)
        return malformed(in, "barrier", err);
    if (!in->in_transaction && in->hello.version != STREAM_VERSION_COPY)
        return not_in_order(in, "a barrier outside of a transaction", err);
    if (in->barrier_open)
        return not_in_order(in, "a barrier where another's change was expected", err);
    if (item->barrier.id <= in->barrier_id)
        return not_in_order(in, "a barrier's number does not grow", err);
    in->barrier_id = item->barrier.id;
    return 0;
}

static int
take_touched(const struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_TOUCHED;
    if (!in->in_transaction)
        return not_in_order(in, "another worker's change outside of a transaction", err);
    if (in->barrier_open)
        return not_in_order(in, "another worker's change where a barrier's was expected", err);
    return 0;
}

/* A range's frames follow each other, so that the whole range is taken or discarded. */
static int
take_copy(struct intake *in, struct intake_item *item, struct err *err)
{
    bool of_range = item->type >= FRAME_ROWS && item->type <= FRAME_RANGE_END;

    item->kind = INTAKE_COPY;
    if (in->in_transaction)
        return not_in_order(in, "a frame of a copy inside a transaction", err);
    if (of_range && !in->range_open)
        return not_in_order(in, "rows of a range that was not begun", err);
    if (in->barrier_open && (item->type != FRAME_TABLE_END || in->barrier_served))
        return not_in_order(in, "a frame of a copy where a barrier's change was expected", err);
    in->barrier_served = in->barrier_open;
    in->range_open = item->type == FRAME_RANGE || (of_range && item->type != FRAME_RANGE_END);
    return 0;
}

static int
take_end(struct intake *in, struct intake_item *item, struct err *err)
{
    char reason[32];

    item->kind = INTAKE_END;
    if (!end_decode(&item->body, item->elements, reason))
        return malformed(in, "end", err);
    if (buf_len(&in->reader.buf) > 0)
        return not_in_order(in, "something follows the end frame", err);
    in->ended = true;
    return 0;
}

static int
take_of_version_2(struct intake *in, struct intake_item *item, struct err *err)
{
    bool copies = in->hello.version == STREAM_VERSION_COPY;

    if (copies && item->type == FRAME_TOUCHED)
        return take_touched(in, item, err);
    if (copies && item->type >= FRAME_COPYTABLE && item->type <= FRAME_TABLE_END)
        return take_copy(in, item, err);
    return err_set(err, EXIT_REFUSED, "unknown frame type %u in the event stream", item->type);
}

static int
take_other(struct intake *in, struct intake_item *item, struct err *err)
{
    bool begun = in->begun;

    in->begun = false;
    switch (item->type) {
    case FRAME_BEGIN:
        return take_begin(in, item, err);
    case FRAME_COMMIT:
        return take_commit(in, item, err);
    case FRAME_TRUNCATE:
        return take_truncate(in, item, err);
    case FRAME_RELATION:
        item->kind = INTAKE_RELATION;
        tablecounts_relation(&in->counts, item->body, item->elements);
        return 0;
    case FRAME_TABLEINFO:
        item->kind = INTAKE_TABLEINFO;
        return 0;
    case FRAME_WATERMARK:
        return take_watermark(in, item, err);
    case FRAME_BARRIER:
        return take_barrier(in, item, err);
    case FRAME_ORIGIN:
        return take_origin(in, item, begun, err);
    case FRAME_MESSAGE:
        return take_message(in, item, err);
    case FRAME_END:
        return take_end(in, item, err);
    default:
        return take_of_version_2(in, item, err);
    }
}

static int
take_frame(struct intake *in, struct intake_item *item, struct err *err)
{
    item->body = item->frame.body;
    if (!frame_type(&item->body, &item->type, &item->elements))
        return err_set(err, EXIT_REFUSED, "malformed frame in the event stream");
    if (in->range_open && item->type != FRAME_END &&
        (item->type < FRAME_ROWS || item->type > FRAME_RANGE_END))
        return not_in_order(in, "something else inside a range", err);
    if (item->type < FRAME_INSERT || item->type > FRAME_DELETE)
        return take_other(in, item, err);
    in->begun = false;
    return take_row(in, item, err);
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
            return take_frame(in, item, err);
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
    while (rc == 0 && (item.kind == INTAKE_IDLE || item.kind == INTAKE_TABLEINFO));
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
