/* worker.c: the loop of one worker. It reads frames and adds rows to the batch. It sends the batch
 * when it is full or old enough, and then reports the durable LSN to ackd. See worker.h. */
#include "sink-ch/worker.h"

#include "sink-ch/repeated.h"
#include "sink-ch/rows.h"
#include "sink-ch/schema.h"
#include "sink-ch/send.h"
#include "sink-ch/truncate.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "sink-ch/ddl.h"
#include "sink-ch/history.h"

/* Encoded bytes that wait, over all tables. */
#define BATCH_BYTES_MAX ((size_t)16 << 20)

/* Most rows with values to read back that wait. Each may bring a large value into memory. */
#define BATCH_HOLES_MAX 512

/* A transaction is cut only when it alone makes a batch this many times the usual size, or when it
 * stays open for so many flush intervals (its program stalls, and older rows wait behind it). */
#define CUT_ROWS_FACTOR     2
#define CUT_INTERVAL_FACTOR 5

/* For reports without a batch, after commits and watermarks without rows for us. */
#define REPORT_INTERVAL_MICROS 100000

/* ---- reports ---- */

/* When the journal may have the next note, which is at most as often as rows are sent. */
static uint64_t
note_deadline(const struct worker *w)
{
    return w->progress.noted_at + w->options->flush_millis * 1000;
}

/* Nothing waits in the batch, so everything that was received is durable. */
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

/* `rows` rows of a batch were sent, or none. With `last`, no more frames come. */
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
    if (ackclient_reached(&w->intake.ack, &reached, err) != 0)
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

/* When the batch must go because of its age, 0 without one. */
static uint64_t
flush_deadline(const struct worker *w)
{
    uint64_t interval = w->options->flush_millis * 1000;

    if (w->progress.first_row_at == 0)
        return 0;
    return w->progress.first_row_at + interval * (w->transaction.open ? CUT_INTERVAL_FACTOR : 1);
}

/* When a report without a batch is due. 0 if there is nothing to report, or it waits for the
 * batch. */
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
    if (ddl_look_at_name(w, table, old, err) != 0) {
        table_free(table);
        return -1;
    }
    if (relmap_put(&w->tables, relid, table, &replaced) != 0) {
        table_free(table);
        return err_set(err, EXIT_PEER, "out of memory for a table");
    }
    table->written.number = number;
    table->written.description = old == NULL ? 0 : old->written.description + 1;
    table->system_identifier = w->intake.hello.system_identifier;
    table->timeline = w->intake.hello.timeline;
    if (old != NULL) {
        table->seen = old->seen;
        old->seen = (struct seen){0};
    }
    w->by_number[number] = table;
    w->tables_count += old == NULL;
    table_free(old);
    return 0;
}

/* Rows that wait were encoded by the old description, so they go first. */
static int
on_relation(struct worker *w, struct intake_item *item, struct err *err)
{
    struct relation relation;
    struct table *old;

    if (relation_decode(&item->body, item->elements, &relation, err) != 0)
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

static int
on_tableinfo(struct worker *w, struct intake_item *item, struct err *err)
{
    struct tableinfo info;
    struct table *table;

    if (tableinfo_decode(&item->body, item->elements, &info, err) != 0)
        return -1;
    table = relmap_get(&w->tables, info.relid);
    if (table == NULL) {
        intake_unknown_relation(&w->intake, info.relid, err);
        tableinfo_free(&info);
        return -1;
    }
    table_inform(table, &info);
    return table->loaded ? ddl_look_at_columns(w, table, err) : 0;
}

struct hearer {
    const struct worker *worker;
    const struct table *table;
    struct err unfit; /* the first thing that was wrong */
};

static void
hear(void *context, enum finding finding, const char *text, const char *hint)
{
    struct hearer *h = context;
    const struct log_field fields[] = {{.name = "relation", .text = h->table->source_name}};

    if (finding == FINDING_CHOICE)
        log_write_fields(h->worker->log, LOG_WARNING, fields, 1, "table \"%s\": %s; %s",
                         h->table->source_name, text, hint);
    if (finding == FINDING_FAIL && h->unfit.message[0] == '\0') {
        err_set(&h->unfit, EXIT_REFUSED, "%s", text);
        err_hint(&h->unfit, "%s", hint);
    }
}

static int
load_table(struct worker *w, struct table *table, struct err *err)
{
    struct hearer hearer = {.worker = w, .table = table};
    struct report report = {.say = hear, .context = &hearer};

    if (table_check_target(table, w->by_number, w->tables_count, true, err) != 0)
        return table_error(table, w->transaction.commit_lsn, err);
    switch (schema_load(&w->server, w->options, table, w->options->create_tables, &report, err)) {
    case SCHEMA_READY:
        if (history_admit(w, table, err) == 0 && repeated_begin(w, table, err) == 0 &&
            ddl_look_at_columns(w, table, err) == 0)
            return 0;
        break;
    case SCHEMA_MISSING:
    case SCHEMA_NARROW:
        err_set(err, EXIT_REFUSED, "table %s for rows of \"%s\" does not exist in ClickHouse",
                table->target_sql, table->source_name);
        err_hint(err, "create it, set map to send the table to another, leave it out of the "
                      "sink's tables, or set create_tables");
        break;
    case SCHEMA_UNFIT:
        *err = hearer.unfit;
        break;
    case SCHEMA_ERROR:
        break;
    }
    return table_error(table, w->transaction.commit_lsn, err);
}

/* The table of a change, ready to be written. */
static struct table *
ready_table(struct worker *w, uint32_t relid, struct err *err)
{
    struct table *table = relmap_get(&w->tables, relid);

    if (table == NULL) {
        intake_unknown_relation(&w->intake, relid, err);
        return NULL;
    }
    return table->loaded || load_table(w, table, err) == 0 ? table : NULL;
}

/* ---- changes ---- */

static int
malformed_row(const struct worker *w, const struct table *table, const char *what, struct err *err)
{
    err_set(err, EXIT_REFUSED, "malformed row event for table \"%s\": %s", table->source_name,
            what);
    return table_error(table, w->transaction.commit_lsn, err);
}

static int
apply_row(struct worker *w, struct intake_item *item, struct err *err)
{
    struct row_event row = {.header = item->header};
    struct table *table = ready_table(w, item->header.relid, err);
    uint32_t columns;

    if (table == NULL)
        return -1;
    columns = table->relation.columns_count;
    if (!row_decode_rest(&item->body, item->type, item->elements, &row, &w->values))
        return malformed_row(w, table, "it cannot be decoded", err);
    if ((item->type != FRAME_DELETE && row.new_row.count != columns) ||
        (row.old_kind != OLD_NONE && row.old_row.count != columns))
        return malformed_row(w, table, "its number of columns is not the table's", err);
    if (rows_apply(w, table, item->type, &row, err) != 0)
        return -1;
    if (w->progress.first_row_at == 0)
        w->progress.first_row_at = clock_micros();
    return 0;
}

static int
apply_truncate(struct worker *w, const struct truncate_event *truncate, struct err *err)
{
    int rc = flush(w, err);

    for (uint32_t i = 0; rc == 0 && i < truncate->count; i++) {
        struct table *table = ready_table(w, truncate->relids[i], err);

        rc = table == NULL ? -1 : truncate_apply(w, table, truncate->ordinal, err);
    }
    return rc;
}

/* Behind a barrier the change is made durable at once, and the other workers continue. */
static int
on_change(struct worker *w, struct intake_item *item, struct err *err)
{
    int rc =
        item->kind == INTAKE_ROW ? apply_row(w, item, err) : apply_truncate(w, item->truncate, err);

    w->progress.events++;
    if (rc != 0 || !w->intake.barrier_open)
        return rc;
    return flush(w, err) != 0 ? -1 : intake_barrier_done(&w->intake, err);
}

/* ---- transactions ---- */

static void
on_begin(struct worker *w, const struct begin_event *begin)
{
    written_forget(&w->written);
    w->transaction = (struct transaction){
        .open = true, .commit_lsn = begin->commit_lsn, .mark = w->batch.entries_count};
}

static void
on_commit(struct worker *w, const struct commit_event *commit)
{
    w->transaction.open = false;
    w->progress.committed = commit->end_lsn;
}

static void
on_watermark(struct worker *w, uint64_t lsn)
{
    if (lsn > w->progress.committed)
        w->progress.committed = lsn;
}

static int
on_barrier(struct worker *w, const struct intake_item *item, struct err *err)
{
    return flush(w, err) != 0 ? -1 : intake_barrier_wait(&w->intake, item, err);
}

/* The rows of an open transaction leave the batch, because it is sent again at the next start. */
static int
on_end(struct worker *w, struct err *err)
{
    if (w->transaction.open)
        batch_rollback(&w->batch, w->transaction.mark);
    return flush_all(w, true, err) != 0 ? -1 : ackclient_finished(&w->intake.ack, err);
}

/* ---- the loop ---- */

/* When there is work to do without any input, 0 if never. */
static uint64_t
next_deadline(const struct worker *w)
{
    uint64_t flush_at = flush_deadline(w), report_at = report_deadline(w);

    return flush_at == 0 || (report_at != 0 && report_at < flush_at) ? report_at : flush_at;
}

static int
on_idle(struct worker *w, struct err *err)
{
    if (is_due(flush_deadline(w)) && flush(w, err) != 0)
        return -1;
    return is_due(report_deadline(w)) ? report(w, 0, 0, false, err) : 0;
}

static int
on_item(struct worker *w, struct intake_item *item, struct err *err)
{
    switch (item->kind) {
    case INTAKE_ROW:
    case INTAKE_TRUNCATE:
        return on_change(w, item, err);
    case INTAKE_BEGIN:
        on_begin(w, &item->begin);
        break;
    case INTAKE_COMMIT:
        on_commit(w, &item->commit);
        break;
    case INTAKE_RELATION:
        return on_relation(w, item, err);
    case INTAKE_TABLEINFO:
        return on_tableinfo(w, item, err);
    case INTAKE_WATERMARK:
        on_watermark(w, item->watermark);
        break;
    case INTAKE_BARRIER:
        return on_barrier(w, item, err);
    case INTAKE_END:
        return on_end(w, err);
    case INTAKE_IDLE:
        return on_idle(w, err);
    case INTAKE_TARGET:
    case INTAKE_ORIGIN:
    case INTAKE_MESSAGE:
    case INTAKE_TOUCHED:
    case INTAKE_COPY:
        break;
    }
    return 0;
}

int
worker_run(struct worker *w, struct err *err)
{
    struct intake_item item;
    uint64_t deadline = 0;
    int rc;

    while ((rc = intake_next(&w->intake, deadline, &item, err)) == 0) {
        uint64_t first_row_at = w->progress.first_row_at;

        if (on_item(w, &item, err) != 0 || (is_full(w) && flush(w, err) != 0))
            return -1;
        /* a row that joins others changes nothing */
        if (item.kind != INTAKE_ROW || w->progress.first_row_at != first_row_at)
            deadline = next_deadline(w);
    }
    return rc < 0 ? -1 : 0;
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
    intake_free(&w->intake);
}
