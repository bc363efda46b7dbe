/* sink.c: see sink.h. Decides when a batch is applied and what may be reported; how it is applied
 * is deliver.c's and apply.c's. */
#include "sink-pg/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/lsn.h"

/* ---- to the target ---- */

static const struct position *
durable(const struct sink *sink)
{
    return &sink->deliver.applier.progress.durable;
}

static int
report(struct sink *sink, struct err *err)
{
    struct ack_reached reached = {.lsn = durable(sink)->lsn,
                                  .events = sink->applied_rows,
                                  .batch_rows = sink->applied_rows,
                                  .flush_micros = sink->flush_micros};

    if (reached.lsn <= sink->reported_lsn)
        return 0;
    sink->reported_lsn = reached.lsn;
    sink->applied_rows = 0;
    sink->flush_micros = 0;
    return ackclient_reached(&sink->ack, &reached, err);
}

/* Applies the first `to` ops; with commit, commits. The frame in hand is gone afterwards. */
static int
flush(struct sink *sink, uint32_t to, const struct position *commit, struct err *err)
{
    uint64_t began = clock_micros();
    uint32_t rows = sink->batch.rows;

    frame_reader_trim(&sink->reader);
    if (deliver_batch(&sink->deliver, &sink->batch, to, commit, err) != 0)
        return -1;
    batch_drop(&sink->batch, to);
    sink->applied_rows += rows - sink->batch.rows;
    sink->flush_micros += clock_micros() - began;
    if (sink->batch.count == 0 && tables_drop_retired(&sink->tables))
        sink->deliver.applier.stale = true;
    if (commit == NULL)
        return 0;
    sink->written_at = clock_micros();
    sink->row_since = sink->batch.count > 0 ? sink->written_at : 0;
    return report(sink, err);
}

/* Commits the whole transactions that have come. While pieces of an open one are in the target's
 * transaction there are none. */
static int
flush_whole(struct sink *sink, struct err *err)
{
    struct position to = sink->position;

    if (sink->deliver.applier.session.tx_open && sink->in_tx)
        return 0;
    if (sink->batch.boundary == 0 && !sink->deliver.applier.session.tx_open &&
        position_equal(&to, durable(sink))) {
        sink->row_since = 0;
        return report(sink, err);
    }
    return flush(sink, sink->batch.boundary, &to, err);
}

static bool
is_full(const struct sink *sink)
{
    return sink->batch.rows >= sink->options->batch_rows ||
           buf_len(&sink->batch.bytes) >= BATCH_BYTES_MAX;
}

/* The open transaction is larger than a batch: its first part goes into a target transaction that
 * stays open until its commit comes. */
static int
flush_full(struct sink *sink, struct err *err)
{
    if (!is_full(sink))
        return 0;
    if (sink->batch.boundary > 0 && flush_whole(sink, err) != 0)
        return -1;
    return is_full(sink) ? flush(sink, sink->batch.count, NULL, err) : 0;
}

/* Commits everything that has come, also of the open transaction: only around a barrier. */
static int
flush_partly(struct sink *sink, struct err *err)
{
    struct position to = sink->position;

    if (sink->batch.count == 0 && !sink->deliver.applier.session.tx_open)
        return 0;
    if (sink->last_ordinal > 0) {
        if (to.partial_commit_lsn != sink->begin.commit_lsn ||
            to.partial_ordinal < sink->last_ordinal)
            to.partial_ordinal = sink->last_ordinal;
        to.partial_commit_lsn = sink->begin.commit_lsn;
    }
    if (flush(sink, sink->batch.count, &to, err) != 0)
        return -1;
    sink->position = to;
    return 0;
}

/* ---- the stream's frames ---- */

static int
stream_error(const struct sink *sink, const char *what, struct err *err)
{
    err->lsn = sink->in_tx ? sink->begin.commit_lsn : sink->last_end_lsn;
    return err_set(err, EXIT_BUG, "the event stream is not in order: %s", what);
}

static int
malformed(const struct sink *sink, const char *what, struct err *err)
{
    err->lsn = sink->begin.commit_lsn;
    return err_set(err, EXIT_REFUSED, "malformed %s event", what);
}

static int
take_begin(struct sink *sink, struct cursor *body, uint32_t elements, struct err *err)
{
    if (sink->in_tx)
        return stream_error(sink, "begin inside a transaction", err);
    if (!begin_decode(body, elements, &sink->begin))
        return malformed(sink, "begin", err);
    if (sink->begin.commit_lsn < sink->last_end_lsn)
        return stream_error(sink, "a transaction before one that was committed earlier", err);
    sink->in_tx = true;
    sink->skip = sink->begin.commit_lsn < durable(sink)->lsn;
    sink->events = 0;
    sink->last_ordinal = 0;
    return 0;
}

static bool
has_flush_time(const struct sink *sink)
{
    return sink->row_since != 0 &&
           clock_micros() - sink->row_since >= sink->options->flush_millis * 1000;
}

static int
take_commit(struct sink *sink, struct cursor *body, uint32_t elements, struct err *err)
{
    struct commit_event commit;

    if (!commit_decode(body, elements, &commit))
        return malformed(sink, "commit", err);
    if (!sink->in_tx || commit.commit_lsn != sink->begin.commit_lsn ||
        commit.end_lsn < commit.commit_lsn)
        return stream_error(sink, "a commit that belongs to no begin", err);
    if (sink->barrier_open)
        return stream_error(sink, "a commit where a barrier's change was expected", err);
    if (commit.events != sink->events) {
        err->lsn = commit.commit_lsn;
        return err_set(err, EXIT_BUG,
                       "the transaction had %" PRIu64 " changes for this worker, %" PRIu64
                       " came: something was lost on the way",
                       commit.events, sink->events);
    }
    sink->in_tx = false;
    sink->last_end_lsn = commit.end_lsn;
    sink->batch.boundary = sink->batch.count;
    if (sink->position.partial_commit_lsn == commit.commit_lsn)
        sink->position.partial_commit_lsn = sink->position.partial_ordinal = 0;
    if (commit.end_lsn > sink->position.lsn)
        sink->position.lsn = commit.end_lsn;
    if (sink->row_since == 0)
        sink->row_since = clock_micros();
    if (sink->deliver.applier.session.tx_open || is_full(sink) || has_flush_time(sink))
        return flush_whole(sink, err);
    return 0;
}

static int
take_watermark(struct sink *sink, struct cursor *body, uint32_t elements, struct err *err)
{
    uint64_t lsn;

    if (!watermark_decode(body, elements, &lsn))
        return malformed(sink, "watermark", err);
    if (sink->in_tx)
        return stream_error(sink, "a watermark inside a transaction", err);
    if (lsn > sink->position.lsn)
        sink->position.lsn = lsn;
    if (sink->row_since == 0)
        sink->row_since = clock_micros();
    return has_flush_time(sink) ? flush_whole(sink, err) : 0;
}

/* Counts a change. *skip: it is durable in the target already. */
static int
count_change(struct sink *sink, uint64_t ordinal, bool *skip, struct err *err)
{
    const struct position *p = &sink->position;

    if (!sink->in_tx)
        return stream_error(sink, "a change outside of a transaction", err);
    if (ordinal <= sink->last_ordinal)
        return stream_error(sink, "a change's ordinal does not grow", err);
    sink->last_ordinal = ordinal;
    sink->events++;
    *skip = sink->skip ||
            (p->partial_commit_lsn == sink->begin.commit_lsn && ordinal <= p->partial_ordinal);
    return 0;
}

/* After a change was taken or skipped. */
static int
after_change(struct sink *sink, struct err *err)
{
    if (!sink->barrier_open)
        return flush_full(sink, err);
    sink->barrier_open = false;
    if (flush_partly(sink, err) != 0)
        return -1;
    return ackclient_barrier_done(&sink->ack, sink->barrier_id, err);
}

static int
take_row(struct sink *sink, uint8_t type, struct bytes whole, struct cursor *body, struct err *err)
{
    struct row_header header;
    struct table *table;
    bool skip;

    if (!row_header_decode(body, type, &header))
        return malformed(sink, "row", err);
    if (count_change(sink, header.ordinal, &skip, err) != 0)
        return -1;
    table = tables_get(&sink->tables, header.relid);
    if (table == NULL)
        return stream_error(sink, "a row of a relation that was not described", err);
    if (sink->row_since == 0)
        sink->row_since = clock_micros();
    if (!skip && batch_add_row(&sink->batch, table, type, whole, sink->begin.commit_lsn, err) != 0)
        return -1;
    return after_change(sink, err);
}

static int
take_truncate(struct sink *sink, struct cursor *body, uint32_t elements, struct err *err)
{
    struct truncate_event truncate;
    bool skip;
    int rc;

    if (truncate_decode(body, elements, &truncate, err) != 0)
        return -1;
    rc = count_change(sink, truncate.ordinal, &skip, err);
    if (rc == 0 && !skip)
        rc =
            batch_add_truncate(&sink->batch, &sink->tables, &truncate, sink->begin.commit_lsn, err);
    free(truncate.relids);
    return rc != 0 ? -1 : after_change(sink, err);
}

static int
take_relation(struct sink *sink, const struct frame *frame, struct err *err)
{
    bool changed;

    if (tables_relation(&sink->tables, frame, &changed, err) != 0)
        return -1;
    if (!changed)
        return 0;
    /* What came before must not wait for a target that has only the new description, or only the
     * old one. */
    if (sink->batch.boundary > 0 && flush_whole(sink, err) != 0)
        return -1;
    return batch_add_cut(&sink->batch, err);
}

/* All before is made durable; the others wait until the applier has made the next change durable
 * too. That change may be durable here already, from before a restart: the waiting is still due. */
static int
take_barrier(struct sink *sink, struct cursor *body, uint32_t elements, struct err *err)
{
    struct barrier_event barrier;

    if (!barrier_decode(body, elements, &barrier))
        return malformed(sink, "barrier", err);
    if (!sink->in_tx || sink->barrier_open)
        return stream_error(sink, "a barrier outside of a transaction or after another", err);
    if (flush_partly(sink, err) != 0 || ackclient_barrier_wait(&sink->ack, &barrier, err) != 0)
        return -1;
    sink->barrier_open = barrier.applier == sink->hello.shard;
    sink->barrier_id = barrier.id;
    return 0;
}

static int
take_end(struct sink *sink, struct cursor *body, uint32_t elements, struct err *err)
{
    char reason[32];

    if (!end_decode(body, elements, reason))
        return malformed(sink, "end", err);
    sink->ended = true;
    if (!sink->in_tx)
        return flush_whole(sink, err);
    /* The open transaction comes again at the next start. */
    if (sink->deliver.applier.session.tx_open)
        session_rollback(&sink->deliver.applier.session);
    return sink->batch.boundary > 0 || !position_equal(&sink->position, durable(sink))
               ? flush_whole(sink, err)
               : report(sink, err);
}

static int
take_frame(struct sink *sink, const struct frame *frame, struct err *err)
{
    struct bytes whole = {.data = frame->body.at, .len = frame->body.left};
    struct cursor body = frame->body;
    struct origin_event origin;
    struct message_event message;
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&body, &type, &elements))
        return malformed(sink, "(untyped)", err);
    switch (type) {
    case FRAME_BEGIN:
        return take_begin(sink, &body, elements, err);
    case FRAME_COMMIT:
        return take_commit(sink, &body, elements, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return take_row(sink, type, whole, &body, err);
    case FRAME_TRUNCATE:
        return take_truncate(sink, &body, elements, err);
    case FRAME_RELATION:
        return take_relation(sink, frame, err);
    case FRAME_WATERMARK:
        return take_watermark(sink, &body, elements, err);
    case FRAME_BARRIER:
        return take_barrier(sink, &body, elements, err);
    case FRAME_ORIGIN:
        return origin_decode(&body, elements, &origin) ? 0 : malformed(sink, "origin", err);
    case FRAME_MESSAGE:
        return message_decode(&body, elements, &message) ? 0 : malformed(sink, "message", err);
    case FRAME_END:
        return take_end(sink, &body, elements, err);
    default:
        return err_set(err, EXIT_REFUSED, "unknown frame type %u in the event stream", type);
    }
}

/* ---- waiting ---- */

/* What is to be done while the input has nothing: 0 after something was done, 1 when there was
 * nothing; *until is when to look again (0: never). */
static int
use_idle_time(struct sink *sink, uint64_t *until, struct err *err)
{
    uint64_t due;

    *until = 0;
    if (sink->batch.boundary > 0 || (sink->deliver.applier.session.tx_open && !sink->in_tx))
        return flush_whole(sink, err) == 0 ? 0 : -1;
    if (sink->batch.count > 0 || sink->deliver.applier.session.tx_open ||
        position_equal(&sink->position, durable(sink)))
        return 1;
    /* Only a watermark or empty transactions: at once when the last write is long ago. */
    due = sink->written_at + sink->options->flush_millis * 1000;
    if (clock_micros() >= due)
        return flush_whole(sink, err) == 0 ? 0 : -1;
    *until = due;
    return 1;
}

enum { WAIT_IN, WAIT_ACKD, WAIT_TARGET, WAIT_COUNT };

/* 1: the input is ready; 0: look again; -1 with err. */
static int
poll_once(struct sink *sink, int timeout, struct err *err)
{
    struct session *s = &sink->deliver.applier.session;
    struct pollfd fds[WAIT_COUNT] = {
        [WAIT_IN] = {.fd = sink->in, .events = POLLIN},
        [WAIT_ACKD] = {.fd = sink->ack.fd, .events = POLLIN | POLLRDHUP},
        [WAIT_TARGET] = {.fd = s->conn == NULL ? -1 : PQsocket(s->conn), .events = POLLIN}};

    if (poll(fds, WAIT_COUNT, timeout) < 0 && errno != EINTR)
        return err_set(err, EXIT_PEER, "could not wait for the input: %s", strerror(errno));
    if (fds[WAIT_ACKD].revents != 0) {
        err_set(err, EXIT_PEER, "ackd closed the connection");
        return err_hint(err, "its own log says why");
    }
    if (fds[WAIT_TARGET].revents != 0 && deliver_look(&sink->deliver, err) != 0)
        return -1;
    return fds[WAIT_IN].revents != 0;
}

/* Returns when the input can be read. */
static int
wait_for_input(struct sink *sink, struct err *err)
{
    for (;;) {
        uint64_t until;
        int rc = poll_once(sink, 0, err);

        if (rc != 0)
            return rc < 0 ? -1 : 0;
        rc = use_idle_time(sink, &until, err);
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        rc = poll_once(sink, clock_poll_timeout(until), err);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
}

static int
read_more(int in, struct frame_reader *reader, struct err *err)
{
    switch (frame_fill(reader, in, err)) {
    case FILL_READ:
    case FILL_AGAIN:
        return 0;
    case FILL_EOF:
        return frame_eof_error(reader, "event", err);
    case FILL_FAILED:
        break;
    }
    return -1;
}

/* ---- start and end ---- */

int
sink_read_hello(int in, struct frame_reader *reader, struct hello *hello, struct err *err)
{
    struct frame frame;

    for (;;) {
        switch (frame_next(reader, &frame, err)) {
        case FRAME_READY:
            return hello_decode(&frame, "event", hello, err);
        case FRAME_BAD:
            return -1;
        case FRAME_NEED_MORE:
            if (read_more(in, reader, err) != 0)
                return -1;
        }
    }
}

static int
start(struct sink *sink, struct err *err)
{
    struct deliver *d = &sink->deliver;
    struct session *s = &d->applier.session;
    struct progress *p = &d->applier.progress;

    if (sink_read_hello(sink->in, &sink->reader, &sink->hello, err) != 0)
        return -1;
    if (sink->hello.sink[0] == '\0' || sink->hello.shard >= sink->hello.shards) {
        err_set(err, EXIT_REFUSED, "the stream is not for a sink's worker");
        return err_hint(err, "put route between pgout-decode and sink-pg");
    }
    sink->log->sink = sink->hello.sink;
    sink->log->shard = sink->hello.shard;
    if (ackclient_connect(&sink->ack, sink->options->ackd, err) != 0)
        return -1;
    snprintf(s->application_name, sizeof s->application_name, "walpipe sink-pg %.20s/%.20s/%u",
             sink->options->pipeline, sink->hello.sink, sink->hello.shard);
    s->conninfo = sink->options->conninfo;
    s->log = d->log = sink->log;
    p->pipeline = sink->options->pipeline;
    p->hello = &sink->hello;
    d->in = sink->in;
    d->reader = &sink->reader;
    d->ack = &sink->ack;
    sink->tables.mapping = &sink->options->mapping;
    if (deliver_start(d, err) != 0)
        return -1;
    sink->position = p->durable;
    if (ackclient_register(&sink->ack, "sink-pg", &sink->hello, p->durable.lsn, p->timeline, err) !=
        0)
        return -1;
    d->registered = true;
    sink->reported_lsn = p->durable.lsn;
    log_write(sink->log, LOG_INFO, "registered; the target is at %s",
              p->durable.lsn == 0 ? "its beginning" : lsn_format(p->durable.lsn).text);
    return ackclient_target(&sink->ack, true, "", err);
}

int
sink_run(struct sink *sink, struct err *err)
{
    sink->ack.fd = -1;
    if (start(sink, err) != 0)
        return -1;
    while (!sink->ended) {
        struct frame frame;

        switch (frame_next(&sink->reader, &frame, err)) {
        case FRAME_READY:
            if (take_frame(sink, &frame, err) != 0)
                return -1;
            break;
        case FRAME_BAD:
            return -1;
        case FRAME_NEED_MORE:
            if (wait_for_input(sink, err) != 0 || read_more(sink->in, &sink->reader, err) != 0)
                return -1;
        }
    }
    return ackclient_finished(&sink->ack, err);
}

void
sink_free(struct sink *sink)
{
    deliver_free(&sink->deliver);
    batch_free(&sink->batch);
    tables_free(&sink->tables);
    ackclient_close(&sink->ack);
    frame_reader_free(&sink->reader);
}
