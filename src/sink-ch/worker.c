/* worker.c: the loop of one worker. It reads frames and adds rows to the batch. It sends the batch
 * when it is full or old enough, and then reports the durable LSN to ackd. See worker.h. */
#include "sink-ch/worker.h"

#include "sink-ch/rows.h"
#include "sink-ch/send.h"
#include "sink-ch/skipping.h"
#include "sink-ch/tables.h"
#include "sink-ch/truncate.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "sink-ch/copies.h"
#include "sink-ch/ddl.h"

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
    reached.commit_time = intake_commit_time(&w->intake, p->noted);
    reached.kept = !w->journal.off;
    if (intake_reached(&w->intake, &reached, err) != 0)
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
    if (copies_write(w, err) != 0) {
        err->lsn = 0; /* no transaction of the stream is the cause */
        return -1;
    }
    if (skipping_report(w, false, err) != 0)
        return -1;
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

/* Rows that wait were encoded by the old description, so they go first. */
static int
on_relation(struct worker *w, struct intake_item *item, struct err *err)
{
    struct relation relation;
    struct table *old;
    bool same;
    int rc;

    if (relation_decode(&item->body, item->elements, &relation, err) != 0)
        return -1;
    old = relmap_get(&w->tables, relation.relid);
    same = old != NULL && tables_same_relation(&old->relation, &relation);
    rc = old != NULL && !same ? flush(w, err) : 0;
    if (!same)
        deadletter_forget(&w->skips.letter);
    if (rc == 0)
        rc = copies_relation(w, &relation, old != NULL && !same, err);
    if (rc != 0 || same) {
        relation_free(&relation);
        return rc;
    }
    return tables_put(w, &relation, old, err);
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

/* ---- changes ---- */

static struct table *
known_table(struct worker *w, uint32_t relid, struct err *err)
{
    struct table *table = relmap_get(&w->tables, relid);

    if (table == NULL)
        intake_unknown_relation(&w->intake, relid, err);
    return table;
}

static int
malformed_row(const struct worker *w, const struct table *table, const char *what, struct err *err)
{
    err_set(err, EXIT_REFUSED, "malformed row event for table \"%s\": %s", table->source_name,
            what);
    return table_place(table, w->transaction.commit_lsn, err);
}

static int
apply_row(struct worker *w, struct intake_item *item, struct err *err)
{
    struct row_event row = {.header = item->header};
    struct table *table = known_table(w, item->header.relid, err);
    uint32_t columns;
    bool pass, skipped;

    if (table == NULL || skipping_row(w, table, &skipped, err) != 0)
        return -1;
    if (skipped)
        return skips_row(&w->skips, &w->intake.begin, item, &table->relation, err);
    columns = table->relation.columns_count;
    if (!row_decode_rest(&item->body, item->type, item->elements, &row, &w->values))
        return malformed_row(w, table, "it cannot be decoded", err);
    if ((item->type != FRAME_DELETE && row.new_row.count != columns) ||
        (row.old_kind != OLD_NONE && row.old_row.count != columns))
        return malformed_row(w, table, "its number of columns is not the table's", err);
    if (copies_row(w, table, item, &row, &pass, err) != 0)
        return -1;
    if (pass)
        return 0;
    if (tables_make_ready(w, table, err) != 0 || rows_apply(w, table, item->type, &row, err) != 0)
        return -1;
    if (w->progress.first_row_at == 0)
        w->progress.first_row_at = clock_micros();
    return 0;
}

static int
truncate_table(struct worker *w, struct table *table, uint64_t ordinal, struct err *err)
{
    bool pass;

    if (copies_truncate(w, table, &pass, err) != 0)
        return -1;
    if (pass)
        return 0;
    return tables_make_ready(w, table, err) != 0 ? -1 : truncate_apply(w, table, ordinal, err);
}

static int
apply_truncate(struct worker *w, const struct truncate_event *truncate, struct err *err)
{
    const struct relation **skipped = NULL;
    int rc = flush(w, err);

    if (rc == 0)
        rc = skipping_truncate(w, truncate, &skipped, err);
    for (uint32_t i = 0; rc == 0 && i < truncate->count; i++)
        if (skipped[i] == NULL)
            rc = truncate_table(w, relmap_get(&w->tables, truncate->relids[i]), truncate->ordinal,
                                err);
    free(skipped);
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

static int
flush_copies(struct worker *w, struct err *err)
{
    return copies_are_ready(w) || copies_must_note(w) ? flush(w, err) : 0;
}

static int
on_begin(struct worker *w, const struct begin_event *begin, struct err *err)
{
    if ((copies_are_ready(w) || copies_must_note(w)) && flush(w, err) != 0)
        return -1;
    written_forget(&w->written);
    skips_begin(&w->skips, begin->commit_lsn);
    w->transaction = (struct transaction){
        .open = true, .commit_lsn = begin->commit_lsn, .mark = w->batch.entries_count};
    return 0;
}

static int
on_commit(struct worker *w, const struct commit_event *commit, struct err *err)
{
    w->transaction.open = false;
    if (w->skips.lacks_count > 0 && skipping_commit(w, commit, err) != 0)
        return -1;
    w->progress.committed = commit->end_lsn;
    copies_go_on(w);
    return flush_copies(w, err);
}

static int
on_watermark(struct worker *w, uint64_t lsn, struct err *err)
{
    if (lsn > w->progress.committed)
        w->progress.committed = lsn;
    return flush_copies(w, err);
}

/* The end of a life drops its ranges. kept takes the frame's body. */
static int
flush_before(struct worker *w, struct intake_item *item, struct buf *kept, struct err *err)
{
    if (!copies_are_due(w) || !copying_drops_due(&w->copies.copying, item->type, item->body,
                                                 item->elements, state_position(w)))
        return 0;
    buf_append(kept, item->body.at, item->body.left);
    if (kept->failed)
        return err_set(err, EXIT_PEER, "out of memory for a frame");
    item->body = cursor_over(kept->data + kept->start, buf_len(kept));
    return flush(w, err);
}

static int
take_copy(struct worker *w, struct intake_item *item, struct err *err)
{
    struct buf kept = {0};
    int rc = flush_before(w, item, &kept, err);

    if (rc == 0)
        rc = copies_frame(w, item, err);
    buf_free(&kept);
    return rc;
}

/* Notes of tables wait for each other: there may be thousands in a list. */
static int
on_copy(struct worker *w, struct intake_item *item, struct err *err)
{
    if (take_copy(w, item, err) != 0)
        return -1;
    copies_go_on(w); /* at a barrier it was the frame behind it */
    if (item->type == FRAME_COPYTABLE)
        return 0;
    if (flush_copies(w, err) != 0)
        return -1;
    return w->intake.barrier_open ? intake_barrier_done(&w->intake, err) : 0;
}

static int
on_barrier(struct worker *w, const struct intake_item *item, struct err *err)
{
    if (flush(w, err) != 0 || intake_barrier_wait(&w->intake, item, err) != 0)
        return -1;
    copies_stand_still(w);
    return 0;
}

/* The rows of an open transaction leave the batch, because it is sent again at the next start. */
static int
on_end(struct worker *w, struct err *err)
{
    if (w->transaction.open)
        batch_rollback(&w->batch, w->transaction.mark);
    return flush_all(w, true, err) != 0 ? -1 : intake_finished(&w->intake, err);
}

/* ---- the loop ---- */

/* When there is work to do without any input, 0 if never. */
static uint64_t
next_deadline(const struct worker *w)
{
    uint64_t at[] = {flush_deadline(w), report_deadline(w), w->copies.pause_at}, first = 0;

    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        if (at[i] != 0 && (first == 0 || at[i] < first))
            first = at[i];
    return first;
}

static int
on_idle(struct worker *w, struct err *err)
{
    if ((is_due(flush_deadline(w)) || copies_are_ready(w)) && flush(w, err) != 0)
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
        return on_begin(w, &item->begin, err);
    case INTAKE_COMMIT:
        return on_commit(w, &item->commit, err);
    case INTAKE_RELATION:
        return on_relation(w, item, err);
    case INTAKE_TABLEINFO:
        return on_tableinfo(w, item, err);
    case INTAKE_WATERMARK:
        return on_watermark(w, item->watermark, err);
    case INTAKE_BARRIER:
        return on_barrier(w, item, err);
    case INTAKE_END:
        return on_end(w, err);
    case INTAKE_IDLE:
        return on_idle(w, err);
    case INTAKE_TARGET:
    case INTAKE_ORIGIN:
    case INTAKE_MESSAGE:
        break;
    case INTAKE_LEFT_OUT:
        return copies_left_out(w, item->left_out, err);
    case INTAKE_TOUCHED:
        return copies_touched(w, item, err);
    case INTAKE_COPY:
        return on_copy(w, item, err);
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

        copies_look_at_pause(w, item.kind == INTAKE_IDLE);
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
    copies_free(&w->copies);
    skips_free(&w->skips);
    relmap_free(&w->tables);
    relmap_free(&w->range_tables);
    batch_free(&w->batch);
    written_forget(&w->written);
    convert_free(&w->convert);
    buf_free(&w->old_key);
    buf_free(&w->old_row);
    buf_free(&w->body);
    server_free(&w->server);
    intake_free(&w->intake);
}
