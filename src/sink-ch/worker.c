/* worker.c: the loop of one worker: frames in, rows into the batch, the batch out when it is full
 * or old enough, and what is durable then to ackd. See worker.h. */
#include "sink-ch/worker.h"

#include "sink-ch/rows.h"
#include "sink-ch/schema.h"
#include "sink-ch/send.h"
#include "sink-ch/truncate.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "lib/clock.h"

/* Encoded bytes that wait, over all tables. */
#define BATCH_BYTES_MAX ((size_t)16 << 20)

/* Rows with values to read back that wait: each may bring a large value into memory. */
#define BATCH_HOLES_MAX 512

/* A transaction is cut only when it alone makes a batch this many times the usual size, or when it
 * stays open for so many flush intervals (its program stalls, and older rows wait behind it). */
#define CUT_ROWS_FACTOR     2
#define CUT_INTERVAL_FACTOR 5

/* Reports without a batch: commits and watermarks with nothing for us. */
#define REPORT_INTERVAL_MICROS 100000

static int
malformed(const char *event, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed %s event", event);
}

/* ---- reports ---- */

/* When the journal may have the next note: as often as rows are sent, at most. */
static uint64_t
note_deadline(const struct worker *w)
{
    return w->progress.noted_at + w->options->flush_millis * 1000;
}

/* Nothing waits in the batch: what was received is durable. */
static int
note(struct worker *w, bool last, struct err *err)
{
    struct progress *p = &w->progress;

    if (p->committed <= p->noted || (!last && clock_micros() < note_deadline(w)))
        return 0;
    if (journal_note(&w->journal, p->committed, err) != 0)
        return -1;
    p->noted = p->committed;
    p->noted_at = clock_micros();
    return 0;
}

/* rows of a batch were sent, or none; last: nothing comes any more. */
static int
report(struct worker *w, uint64_t rows, uint64_t micros, bool last, struct err *err)
{
    struct progress *p = &w->progress;
    struct ack_reached reached = {.batch_rows = rows, .flush_micros = micros};

    if (note(w, last, err) != 0)
        return -1;
    if (p->noted <= p->reported && rows == 0)
        return 0;
    reached.lsn = p->noted;
    reached.events = p->events;
    if (ackclient_reached(&w->ack, &reached, err) != 0)
        return -1;
    p->reported = p->noted;
    p->reported_at = clock_micros();
    p->events = 0;
    return 0;
}

static int
flush_all(struct worker *w, bool last, struct err *err)
{
    uint64_t rows = w->batch.alive, started = clock_micros();

    if (w->batch.entries_count > 0 && send_batch(w, err) != 0)
        return -1;
    w->progress.first_row_at = 0;
    return report(w, rows, rows > 0 ? clock_micros() - started : 0, last, err);
}

static int
flush(struct worker *w, struct err *err)
{
    return flush_all(w, false, err);
}

/* When the batch must go because of its age; 0: there is none. */
static uint64_t
flush_deadline(const struct worker *w)
{
    uint64_t interval = w->options->flush_millis * 1000;

    if (w->progress.first_row_at == 0)
        return 0;
    return w->progress.first_row_at + interval * (w->transaction.open ? CUT_INTERVAL_FACTOR : 1);
}

/* When a report without a batch is due; 0: nothing to report, or it waits for the batch. */
static uint64_t
report_deadline(const struct worker *w)
{
    uint64_t at = w->progress.reported_at + REPORT_INTERVAL_MICROS;

    if (w->batch.entries_count > 0 || w->progress.committed <= w->progress.reported)
        return 0;
    return at < note_deadline(w) ? note_deadline(w) : at;
}

static bool
is_due(uint64_t deadline)
{
    return deadline != 0 && clock_micros() >= deadline;
}

static bool
is_full(const struct worker *w)
{
    uint64_t factor = w->transaction.open ? CUT_ROWS_FACTOR : 1;

    return w->batch.alive >= w->options->batch_rows * factor ||
           batch_bytes(&w->batch) >= BATCH_BYTES_MAX || w->batch.holes_count >= BATCH_HOLES_MAX;
}

/* ---- relations ---- */

static bool
same_relation(const struct relation *a, const struct relation *b)
{
    if (a->replica_identity != b->replica_identity || a->columns_count != b->columns_count ||
        strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0)
        return false;
    for (uint32_t i = 0; i < a->columns_count; i++) {
        const struct relation_column *x = &a->columns[i], *y = &b->columns[i];

        if (strcmp(x->name, y->name) != 0 || x->key != y->key || x->type_oid != y->type_oid ||
            x->typmod != y->typmod || strcmp(x->type_schema, y->type_schema) != 0 ||
            strcmp(x->type_name, y->type_name) != 0)
            return false;
    }
    return true;
}

static int
reserve_number(struct worker *w, struct err *err)
{
    struct table **more;

    if ((w->tables_count & (w->tables_count - 1)) != 0)
        return 0; /* there is room up to the next power of two */
    more = realloc(w->by_number, (w->tables_count == 0 ? 1 : 2 * (size_t)w->tables_count) *
                                     sizeof(struct table *));
    if (more == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    w->by_number = more;
    return 0;
}

static int
put_table(struct worker *w, struct relation *relation, struct table *old, struct err *err)
{
    uint32_t relid = relation->relid;
    uint32_t number = old == NULL ? w->tables_count : old->number;
    struct table *table = NULL;
    void *replaced;

    if (old != NULL || reserve_number(w, err) == 0)
        table = table_new(relation, number, w->options, err);
    else
        relation_free(relation);
    if (table == NULL)
        return -1;
    if (relmap_put(&w->tables, relid, table, &replaced) != 0) {
        table_free(table);
        return err_set(err, EXIT_PEER, "out of memory for a table");
    }
    w->by_number[number] = table;
    w->tables_count += old == NULL;
    table_free(old);
    return 0;
}

/* Rows that wait were encoded by the old description, so they go first. */
static int
on_relation(struct worker *w, struct cursor *body, uint32_t elements, struct err *err)
{
    struct relation relation;
    struct table *old;

    if (relation_decode(body, elements, &relation, err) != 0)
        return -1;
    old = relmap_get(&w->tables, relation.relid);
    if (old != NULL && same_relation(&old->relation, &relation)) {
        relation_free(&relation);
        return 0;
    }
    if (old != NULL && flush(w, err) != 0) {
        relation_free(&relation);
        return -1;
    }
    return put_table(w, &relation, old, err);
}

/* The first thing that was wrong with a table, as the error. */
static void
keep_first_failure(void *context, enum finding finding, const char *text, const char *hint)
{
    struct err *err = context;

    if (finding == FINDING_FAIL && err->message[0] == '\0') {
        err_set(err, EXIT_REFUSED, "%s", text);
        err_hint(err, "%s", hint);
    }
}

static int
load_table(struct worker *w, struct table *table, struct err *err)
{
    struct err unfit = {0};
    struct report report = {.say = keep_first_failure, .context = &unfit};

    if (table_check_target(table, w->by_number, w->tables_count, true, err) != 0)
        return table_error(table, w->transaction.commit_lsn, err);
    switch (schema_load(&w->server, w->options, table, w->options->create_tables, &report, err)) {
    case SCHEMA_READY:
        if (truncate_read_mark(w, table, err) == 0)
            return 0;
        break;
    case SCHEMA_MISSING:
        err_set(err, EXIT_REFUSED, "table %s for rows of \"%s\" does not exist in ClickHouse",
                table->target_sql, table->source_name);
        err_hint(err, "create it, map the table to another with --map, leave it out of the sink's "
                      "tables, or use --create-tables");
        break;
    case SCHEMA_UNFIT:
        *err = unfit;
        break;
    case SCHEMA_ERROR:
        break;
    }
    return table_error(table, w->transaction.commit_lsn, err);
}

/* The table of a change, ready to be written. The change's frame is still in use, so the input's
 * buffer must stay where it is while the server is asked. */
static struct table *
ready_table(struct worker *w, uint32_t relid, struct err *err)
{
    struct table *table = relmap_get(&w->tables, relid);
    int rc;

    if (table == NULL) {
        err_set(err, EXIT_BUG, "a change of relation %" PRIu32 " came before its relation event",
                relid);
        return NULL;
    }
    if (table->loaded)
        return table;
    w->server.frame_in_use = true;
    rc = load_table(w, table, err);
    w->server.frame_in_use = false;
    return rc == 0 ? table : NULL;
}

/* ---- changes ---- */

static int
count_change(struct worker *w, struct err *err)
{
    if (!w->transaction.open)
        return err_set(err, EXIT_BUG, "a change came outside of a transaction");
    w->transaction.events++;
    w->progress.events++;
    return 0;
}

static int
on_row(struct worker *w, uint8_t type, struct cursor *body, uint32_t elements, struct err *err)
{
    struct row_event row;
    struct table *table;

    if (count_change(w, err) != 0)
        return -1;
    if (!row_decode(body, type, elements, &row, &w->values))
        return malformed("row", err);
    table = ready_table(w, row.header.relid, err);
    if (table == NULL)
        return -1;
    if ((type != FRAME_DELETE && row.new_row.count != table->relation.columns_count) ||
        (row.old_kind != OLD_NONE && row.old_row.count != table->relation.columns_count)) {
        err_set(err, EXIT_BUG,
                "a row of table \"%s\" has another number of columns than its "
                "relation event",
                table->source_name);
        return table_error(table, w->transaction.commit_lsn, err);
    }
    if (rows_apply(w, table, type, &row, err) != 0)
        return -1;
    if (w->progress.first_row_at == 0)
        w->progress.first_row_at = clock_micros();
    return 0;
}

static int
on_truncate(struct worker *w, struct cursor *body, uint32_t elements, struct err *err)
{
    struct truncate_event truncate;
    int rc;

    if (count_change(w, err) != 0 || truncate_decode(body, elements, &truncate, err) != 0)
        return -1;
    rc = flush(w, err);
    for (uint32_t i = 0; rc == 0 && i < truncate.count; i++) {
        struct table *table = ready_table(w, truncate.relids[i], err);

        rc = table == NULL ? -1 : truncate_apply(w, table, truncate.ordinal, err);
    }
    free(truncate.relids);
    return rc;
}

/* ---- transactions ---- */

static int
on_begin(struct worker *w, struct cursor *body, uint32_t elements, struct err *err)
{
    struct begin_event begin;

    if (!begin_decode(body, elements, &begin))
        return malformed("begin", err);
    if (w->transaction.open)
        return err_set(err, EXIT_BUG, "a transaction began inside a transaction");
    written_forget(&w->written);
    w->transaction = (struct transaction){
        .open = true, .commit_lsn = begin.commit_lsn, .mark = w->batch.entries_count};
    return 0;
}

static int
on_commit(struct worker *w, struct cursor *body, uint32_t elements, struct err *err)
{
    struct commit_event commit;
    struct transaction *t = &w->transaction;

    if (!commit_decode(body, elements, &commit))
        return malformed("commit", err);
    err->lsn = commit.commit_lsn;
    if (!t->open || commit.commit_lsn != t->commit_lsn)
        return err_set(err, EXIT_BUG, "a commit came that ends no open transaction");
    if (commit.events != t->events)
        return err_set(err, EXIT_BUG,
                       "the transaction has %" PRIu64 " changes for this worker, but %" PRIu64
                       " arrived",
                       commit.events, t->events);
    if (w->barrier.open)
        return err_set(err, EXIT_BUG, "no change came after barrier %" PRIu64, w->barrier.id);
    if (commit.end_lsn < w->progress.committed)
        return err_set(err, EXIT_BUG, "a commit's end LSN is lower than the one before");
    err->lsn = 0;
    t->open = false;
    w->progress.committed = commit.end_lsn;
    return 0;
}

static int
on_watermark(struct worker *w, struct cursor *body, uint32_t elements, struct err *err)
{
    uint64_t lsn;

    if (!watermark_decode(body, elements, &lsn))
        return malformed("watermark", err);
    if (w->transaction.open)
        return err_set(err, EXIT_BUG, "a watermark came inside a transaction");
    if (lsn > w->progress.committed)
        w->progress.committed = lsn;
    return 0;
}

static int
on_barrier(struct worker *w, struct cursor *body, uint32_t elements, struct err *err)
{
    struct barrier_event barrier;

    if (!barrier_decode(body, elements, &barrier))
        return malformed("barrier", err);
    if (flush(w, err) != 0 || ackclient_barrier_wait(&w->ack, &barrier, err) != 0)
        return -1;
    w->barrier.open = barrier.applier == w->hello.shard;
    w->barrier.id = barrier.id;
    return 0;
}

/* The change behind a barrier was applied: make it durable, let the other workers go on. */
static int
finish_barrier(struct worker *w, struct err *err)
{
    if (flush(w, err) != 0 || ackclient_barrier_done(&w->ack, w->barrier.id, err) != 0)
        return -1;
    w->barrier.open = false;
    return 0;
}

/* An open transaction comes again at the next start: its rows leave the batch. */
static int
on_end(struct worker *w, struct cursor *body, uint32_t elements, struct err *err)
{
    char reason[32];

    if (!end_decode(body, elements, reason))
        return malformed("end", err);
    w->server.input = NULL; /* it may close now */
    if (w->transaction.open)
        batch_rollback(&w->batch, w->transaction.mark);
    return flush_all(w, true, err) != 0 ? -1 : ackclient_finished(&w->ack, err);
}

/* ---- the loop ---- */

static int
on_message(struct cursor *body, uint32_t elements, struct err *err)
{
    struct message_event message;

    return message_decode(body, elements, &message) ? 0 : malformed("message", err);
}

static int
on_origin(struct cursor *body, uint32_t elements, struct err *err)
{
    struct origin_event origin;

    return origin_decode(body, elements, &origin) ? 0 : malformed("origin", err);
}

/* *ended: that was the last one. */
static int
on_frame(struct worker *w, struct frame *frame, bool *ended, struct err *err)
{
    struct cursor *body = &frame->body;
    uint32_t elements;
    uint8_t type;

    if (!frame_type(body, &type, &elements))
        return err_set(err, EXIT_REFUSED, "malformed frame in the event stream");
    switch (type) {
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        if (on_row(w, type, body, elements, err) != 0)
            return -1;
        return w->barrier.open ? finish_barrier(w, err) : 0;
    case FRAME_TRUNCATE:
        if (on_truncate(w, body, elements, err) != 0)
            return -1;
        return w->barrier.open ? finish_barrier(w, err) : 0;
    case FRAME_BEGIN:
        return on_begin(w, body, elements, err);
    case FRAME_COMMIT:
        return on_commit(w, body, elements, err);
    case FRAME_RELATION:
        return on_relation(w, body, elements, err);
    case FRAME_WATERMARK:
        return on_watermark(w, body, elements, err);
    case FRAME_BARRIER:
        return on_barrier(w, body, elements, err);
    case FRAME_MESSAGE:
        return on_message(body, elements, err);
    case FRAME_ORIGIN:
        return on_origin(body, elements, err);
    case FRAME_END:
        *ended = true;
        return on_end(w, body, elements, err);
    default:
        return err_set(err, EXIT_REFUSED, "frame type %u does not belong into the event stream",
                       type);
    }
}

/* Does what has become due, then waits for input and reads some. */
static int
wait_for_input(struct worker *w, struct err *err)
{
    uint64_t flush_at, report_at;
    struct pollfd fds[2] = {{.fd = w->input_fd, .events = POLLIN},
                            {.fd = w->ack.fd, .events = POLLIN | POLLRDHUP}};

    if (is_due(flush_deadline(w)) && flush(w, err) != 0)
        return -1;
    if (is_due(report_deadline(w)) && report(w, 0, 0, false, err) != 0)
        return -1;
    flush_at = flush_deadline(w);
    report_at = report_deadline(w);
    if (flush_at == 0 || (report_at != 0 && report_at < flush_at))
        flush_at = report_at;
    if (poll(fds, 2, clock_poll_timeout(flush_at)) <= 0)
        return 0; /* a deadline, or a signal that we wait out */
    if (fds[1].revents != 0) {
        err_set(err, EXIT_PEER, "ackd closed the connection");
        return err_hint(err, "its own log says why");
    }
    switch (frame_fill(&w->reader, w->input_fd, err)) {
    case FILL_READ:
    case FILL_AGAIN:
        return 0;
    case FILL_EOF:
        return frame_eof_error(&w->reader, "event", err);
    case FILL_FAILED:
        break;
    }
    return -1;
}

int
worker_run(struct worker *w, struct err *err)
{
    struct frame frame;
    bool ended = false;

    while (!ended) {
        switch (frame_next(&w->reader, &frame, err)) {
        case FRAME_BAD:
            return -1;
        case FRAME_NEED_MORE:
            if (wait_for_input(w, err) != 0)
                return -1;
            break;
        case FRAME_READY:
            if (on_frame(w, &frame, &ended, err) != 0)
                return -1;
            if (is_full(w) && flush(w, err) != 0)
                return -1;
            break;
        }
    }
    return 0;
}

void
worker_free(struct worker *w)
{
    for (uint32_t i = 0; i < w->tables_count; i++)
        table_free(w->by_number[i]);
    free(w->by_number);
    relmap_free(&w->tables);
    batch_free(&w->batch);
    written_forget(&w->written);
    convert_free(&w->convert);
    buf_free(&w->old_key);
    buf_free(&w->old_row);
    buf_free(&w->body);
    server_free(&w->server);
    frame_reader_free(&w->reader);
    ackclient_close(&w->ack);
}
