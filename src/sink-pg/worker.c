/* worker.c: see worker.h. Decides when a batch is applied and which LSN may be reported. deliver.c
 * and apply.c apply it. */
#include "sink-pg/worker.h"

#include <stdio.h>

#include "lib/clock.h"
#include "lib/lsn.h"
#include "lib/pqmark.h"
#include "sink-pg/copies.h"
#include "sink-pg/skipping.h"

/* ---- to the target ---- */

static const struct position *
durable(const struct worker *w)
{
    return &w->deliver.applier.progress.durable;
}

static struct layers *
layers(struct worker *w)
{
    return &w->deliver.applier.progress.layers;
}

static int
report(struct worker *w, struct err *err)
{
    struct ack_reached reached = {.lsn = durable(w)->lsn,
                                  .events = w->applied_rows,
                                  .batch_rows = w->applied_rows,
                                  .flush_micros = w->flush_micros,
                                  .commit_time = intake_commit_time(&w->intake, durable(w)->lsn),
                                  .kept = true};

    if (reached.lsn <= w->reported_lsn)
        return 0;
    w->reported_lsn = reached.lsn;
    w->applied_rows = 0;
    w->flush_micros = 0;
    return intake_reached(&w->intake, &reached, err);
}

static struct heldlist *
held(struct worker *w)
{
    return &w->copies.held.list;
}

/* Applies the first `to` ops. With commit, commits. The current frame is invalid afterwards. */
static int
flush(struct worker *w, uint32_t to, const struct position *commit, struct err *err)
{
    uint64_t began = clock_micros();
    uint32_t rows = w->batch.rows;
    bool pieces = w->deliver.applier.session.tx_open;

    intake_release(&w->intake);
    if (skipping_finish(w, commit, err) != 0 || copies_collect(w, commit, err) != 0)
        return -1;
    if (deliver_batch(&w->deliver, &w->batch, to, commit, err) != 0) {
        skipping_refused(w, pieces, err);
        return copies_refused(w, err);
    }
    batch_drop(&w->batch, to);
    heldlist_drop(held(w));
    w->applied_rows += rows - w->batch.rows;
    w->flush_micros += clock_micros() - began;
    if (w->batch.count == 0 && tables_drop_retired(&w->tables))
        w->deliver.applier.stale = true;
    w->deliver.applier.stale |= w->copies.merged;
    w->copies.merged = false;
    if (commit == NULL)
        return 0;
    w->written_at = clock_micros();
    w->row_since = w->batch.count > 0 ? w->written_at : 0;
    if (skipping_committed(w, commit, err) != 0 || copies_committed(w, err) != 0)
        return -1;
    return report(w, err);
}

/* Changes of transactions whose commit has come wait. */
static bool
has_whole(struct worker *w)
{
    return w->batch.boundary > 0 || held(w)->boundary > 0;
}

/* Commits the whole transactions that have come. While pieces of an open one are in the target's
 * transaction there are none. */
static int
flush_whole(struct worker *w, struct err *err)
{
    struct position to = w->position;

    if (w->deliver.applier.session.tx_open && w->intake.in_transaction)
        return 0;
    if (!has_whole(w) && !w->deliver.applier.session.tx_open && position_equal(&to, durable(w)) &&
        !copies_are_due(w)) {
        w->row_since = 0;
        return report(w, err);
    }
    held(w)->to = held(w)->boundary;
    return flush(w, w->batch.boundary, &to, err);
}

/* Commits ranges, too. Otherwise the stream's changes do not wait for them. */
static int
flush_copies(struct worker *w, enum copies_turn turn, struct err *err)
{
    uint64_t began = clock_micros();
    int rc;

    w->turn = turn;
    rc = flush_whole(w, err);
    w->turn = COPIES_WAIT;
    copies_gone(w, began);
    return rc;
}

/* Also where nothing but notes is to be written. Between two transactions. */
static int
flush_now(struct worker *w, struct err *err)
{
    struct position to = w->position;

    held(w)->to = held(w)->count;
    return flush(w, w->batch.count, &to, err);
}

static bool
is_full(const struct worker *w)
{
    const struct heldlist *held = &w->copies.held.list;

    return w->batch.rows + held->count >= w->options->batch_rows ||
           buf_len(&w->batch.bytes) + buf_len(&held->bytes) >= BATCH_BYTES_MAX;
}

/* The open transaction is larger than a batch. Its first part goes into a target transaction that
 * stays open until its commit comes. */
static int
flush_full(struct worker *w, struct err *err)
{
    if (!is_full(w))
        return 0;
    if (has_whole(w) && flush_whole(w, err) != 0)
        return -1;
    held(w)->to = held(w)->count;
    return is_full(w) ? flush(w, w->batch.count, NULL, err) : 0;
}

/* Commits everything that has come, also of the open transaction. Only around a barrier. */
static int
flush_partly(struct worker *w, struct err *err)
{
    struct position to = w->position;

    if (w->batch.count == 0 && held(w)->count == 0 && !w->deliver.applier.session.tx_open)
        return 0;
    held(w)->to = held(w)->count;
    if (w->intake.ordinal > 0) {
        if (to.partial_commit_lsn != w->intake.begin.commit_lsn ||
            to.partial_ordinal < w->intake.ordinal)
            to.partial_ordinal = w->intake.ordinal;
        to.partial_commit_lsn = w->intake.begin.commit_lsn;
    }
    if (flush(w, w->batch.count, &to, err) != 0)
        return -1;
    w->position = to;
    return 0;
}

/* ---- the stream's items ---- */

static void
on_begin(struct worker *w, const struct intake_item *item)
{
    w->skip = item->begin.commit_lsn < durable(w)->lsn;
    w->layered = item->begin.commit_lsn < layers(w)->highest;
    skips_begin(&w->skips, item->begin.commit_lsn);
}

static bool
has_flush_time(const struct worker *w)
{
    return w->row_since != 0 && clock_micros() - w->row_since >= w->options->flush_millis * 1000;
}

static int
on_commit(struct worker *w, const struct intake_item *item, struct err *err)
{
    const struct commit_event *commit = &item->commit;
    struct position *p = &w->position;

    w->stands_still = false;
    if (skips_finish(&w->skips, commit->end_lsn, 0, err) != 0)
        return -1;
    w->batch.boundary = w->batch.count;
    held(w)->boundary = held(w)->count;
    if (p->partial_commit_lsn == commit->commit_lsn)
        p->partial_commit_lsn = p->partial_ordinal = 0;
    if (commit->end_lsn > p->lsn)
        p->lsn = commit->end_lsn;
    w->streamed_at = clock_micros();
    if (w->row_since == 0)
        w->row_since = w->streamed_at;
    if (copies_starve(w))
        return flush_copies(w, COPIES_SOME, err);
    return w->deliver.applier.session.tx_open || is_full(w) || has_flush_time(w)
               ? flush_whole(w, err)
               : 0;
}

static int
on_watermark(struct worker *w, const struct intake_item *item, struct err *err)
{
    if (item->watermark > w->position.lsn)
        w->position.lsn = item->watermark;
    if (w->row_since == 0)
        w->row_since = clock_micros();
    if (copies_starve(w))
        return flush_copies(w, COPIES_SOME, err);
    return has_flush_time(w) ? flush_whole(w, err) : 0;
}

/* Sets *old if the change is durable in the target already. */
static int
is_old(struct worker *w, const struct intake_item *item, bool *old, struct err *err)
{
    const struct position *p = &w->position;
    uint64_t commit_lsn = w->intake.begin.commit_lsn;

    *old =
        w->skip || (p->partial_commit_lsn == commit_lsn && w->intake.ordinal <= p->partial_ordinal);
    return *old || !w->layered ? 0 : layers_have(layers(w), item, commit_lsn, old, err);
}

/* After a change was taken or skipped. */
static int
after_change(struct worker *w, struct err *err)
{
    if (!w->intake.barrier_open)
        return flush_full(w, err);
    return flush_partly(w, err) != 0 ? -1 : intake_barrier_done(&w->intake, err);
}

static int
on_row(struct worker *w, const struct intake_item *item, struct err *err)
{
    struct table *table = tables_get(&w->tables, item->header.relid);
    bool old, skipped = false;

    if (table == NULL)
        return intake_unknown_relation(&w->intake, item->header.relid, err);
    w->stands_still = false;
    if (w->row_since == 0)
        w->row_since = clock_micros();
    if (is_old(w, item, &old, err) != 0)
        return -1;
    if (!old && skipping_row(w, table, item, &skipped, err) != 0)
        return -1;
    if (!old && !skipped && copies_row(w, table, item, err) != 0)
        return -1;
    return after_change(w, err);
}

static int
on_truncate(struct worker *w, const struct intake_item *item, struct err *err)
{
    struct truncate_event truncate = *item->truncate;
    bool old;

    w->stands_still = false;
    if (is_old(w, item, &old, err) != 0)
        return -1;
    if (!old && skipping_truncate(w, &truncate, err) != 0)
        return -1;
    if (!old && copies_truncate(w, &truncate, err) != 0)
        return -1;
    if (!old && truncate.count > 0 &&
        batch_add_truncate(&w->batch, &w->tables, &truncate, w->intake.begin.commit_lsn, err) != 0)
        return -1;
    return after_change(w, err);
}

/* A resync begins or ends without changes of its table, and the end of a life drops its ranges.
 * kept takes the frame's body. */
static int
flush_before(struct worker *w, const struct intake_item *item, struct buf *kept,
             struct cursor *body, struct err *err)
{
    bool alone = item->type == FRAME_COPYTABLE || item->type == FRAME_TABLE_END;

    bool due = copies_precede(w, item, *body);

    if (!due && (!alone || (!has_whole(w) && !w->deliver.applier.session.tx_open)))
        return 0;
    buf_append(kept, body->at, body->left);
    if (kept->failed)
        return err_set(err, EXIT_PEER, "out of memory for a frame");
    *body = cursor_over(kept->data + kept->start, buf_len(kept));
    return due ? flush_copies(w, COPIES_ALL, err) : flush_whole(w, err);
}

static int
take_copy(struct worker *w, const struct intake_item *item, struct err *err)
{
    struct cursor body = item->body;
    struct buf kept = {0};
    int rc = flush_before(w, item, &kept, &body, err);

    if (rc == 0)
        rc = copies_frame(w, item, body, err);
    buf_free(&kept);
    return rc;
}

/* At a barrier all workers have everything before it. Behind its frame they go on. */
static int
on_copy(struct worker *w, const struct intake_item *item, struct err *err)
{
    bool at_barrier = w->stands_still;

    w->stands_still = false;
    if (take_copy(w, item, err) != 0)
        return -1;
    if (copies_are_urgent(w) || at_barrier ? flush_now(w, err) != 0
        : copies_starve(w)                 ? flush_copies(w, COPIES_SOME, err) != 0
                                           : copies_have_notes(w) && flush_whole(w, err) != 0)
        return -1;
    return w->intake.barrier_open ? intake_barrier_done(&w->intake, err) : 0;
}

static int
tell_layers(struct worker *w, const struct intake_item *item, struct err *err)
{
    struct cursor body = item->body;
    struct relation relation;
    int rc;

    if (layers(w)->count == 0)
        return 0;
    if (relation_decode(&body, item->elements, &relation, err) != 0)
        return -1;
    rc = layers_relation(layers(w), &relation, err);
    relation_free(&relation);
    return rc;
}

static int
on_relation(struct worker *w, const struct intake_item *item, struct err *err)
{
    bool changed;

    if (tables_relation(&w->tables, &item->frame, &changed, err) != 0 ||
        tell_layers(w, item, err) != 0)
        return -1;
    /* Changes from before must not wait for a target that has only the new description, or only the
     * old one. */
    if (changed && w->batch.boundary > 0 && flush_whole(w, err) != 0)
        return -1;
    if (copies_relation(w, item, changed, err) != 0)
        return -1;
    if (!changed)
        return 0;
    deadletter_forget(&w->skips.letter);
    return batch_add_cut(&w->batch, err);
}

/* Makes everything before it durable. The others wait until the applier has made the next change
 * durable too. That change may be durable here already, from before a restart, but the wait is
 * still due. */
static int
on_barrier(struct worker *w, const struct intake_item *item, struct err *err)
{
    if ((w->intake.in_transaction ? flush_partly(w, err) : flush_whole(w, err)) != 0 ||
        intake_barrier_wait(&w->intake, item, err) != 0)
        return -1;
    w->stands_still = true;
    return 0;
}

static int
on_end(struct worker *w, struct err *err)
{
    if (!w->intake.in_transaction)
        return flush_copies(w, COPIES_ALL, err);
    /* The open transaction is sent again at the next start. */
    if (w->deliver.applier.session.tx_open)
        session_rollback(&w->deliver.applier.session);
    return w->batch.boundary > 0 || !position_equal(&w->position, durable(w)) ? flush_whole(w, err)
                                                                              : report(w, err);
}

/* Nothing else waits. */
static int
idle_copies(struct worker *w, struct err *err)
{
    if (copies_may_go(w))
        return flush_copies(w, COPIES_SOME, err);
    if (copies_are_due(w))
        w->idle_until = w->rests_until;
    return 0;
}

/* Nothing comes at the moment, so complete transactions do not wait for more. */
static int
on_idle(struct worker *w, struct err *err)
{
    bool tx_open = w->deliver.applier.session.tx_open;

    w->idle_until = 0;
    if (has_whole(w) || (tx_open && !w->intake.in_transaction)) {
        if (flush_whole(w, err) != 0)
            return -1;
        return intake_stream_waits(&w->intake) ? 0 : idle_copies(w, err);
    }
    if (copies_are_due(w))
        return idle_copies(w, err);
    if (w->batch.count > 0 || tx_open || position_equal(&w->position, durable(w)))
        return 0;
    /* Only a watermark or empty transactions came. They are written at once if the last write was
     * long ago. */
    w->idle_until = w->written_at + w->options->flush_millis * 1000;
    return clock_micros() < w->idle_until ? 0 : flush_whole(w, err);
}

static int
on_item(struct worker *w, const struct intake_item *item, struct err *err)
{
    switch (item->kind) {
    case INTAKE_ROW:
        return on_row(w, item, err);
    case INTAKE_BEGIN:
        on_begin(w, item);
        return 0;
    case INTAKE_COMMIT:
        return on_commit(w, item, err);
    case INTAKE_TRUNCATE:
        return on_truncate(w, item, err);
    case INTAKE_RELATION:
        return on_relation(w, item, err);
    case INTAKE_WATERMARK:
        return on_watermark(w, item, err);
    case INTAKE_BARRIER:
        return on_barrier(w, item, err);
    case INTAKE_END:
        return on_end(w, err);
    case INTAKE_IDLE:
        return on_idle(w, err);
    case INTAKE_TARGET:
        return deliver_look(&w->deliver, err);
    case INTAKE_LEFT_OUT:
        return copies_left_out(w, item->left_out, err);
    case INTAKE_TOUCHED:
        return copies_touched(w, item, err);
    case INTAKE_COPY:
        return on_copy(w, item, err);
    case INTAKE_TABLEINFO:
    case INTAKE_ORIGIN:
    case INTAKE_MESSAGE:
        break;
    }
    return 0;
}

/* ---- start and end ---- */

static void
say(void *context, bool warning, const char *text)
{
    const struct worker *w = context;

    log_write(w->log, warning ? LOG_WARNING : LOG_INFO, "%s", text);
}

/* Everything that needs to know whose worker this is. */
static void
wire(struct worker *w)
{
    const struct hello *hello = &w->intake.hello;
    struct deliver *d = &w->deliver;
    struct session *s = &d->applier.session;

    w->log->sink = hello->sink;
    w->log->shard = hello->shard;
    snprintf(s->application_name, sizeof s->application_name, "walpipe sink-pg %.20s/%.20s/%u",
             w->options->pipeline, hello->sink, hello->shard);
    s->conninfo = w->options->conninfo;
    s->login.path = w->options->login_note;
    s->log = d->log = w->log;
    origin_name(&d->origin, w->options->pipeline, hello->sink, hello->shard);
    d->applier.progress.pipeline = w->options->pipeline;
    d->applier.progress.hello = hello;
    d->applier.progress.layout = &w->intake.layout;
    d->applier.tables = &w->tables;
    d->intake = &w->intake;
    d->applier.ways.rows.values = d->applier.ways.merge.values = &w->values;
    d->applier.progress.layers.values = &w->values;
    w->tables.mapping = &w->options->mapping;
    w->wholes = (struct wholes){w->options->pipeline, hello->sink, &w->intake.layout};
    if (hello->shards > 1)
        d->applier.wholes = w->copies.wholes = &w->wholes;
    copies_wire(w);
}

/* Without a position the rows of the target are the source's only as far as copies bring them. */
static enum ack_position
position_of(const struct worker *w)
{
    if (w->deliver.applier.progress.durable.lsn != 0)
        return ACK_POSITION_FOUND;
    return w->intake.hello.version == STREAM_VERSION_COPY && !copying_counts_on(&w->copies.copying)
               ? ACK_POSITION_NEW
               : ACK_POSITION_NONE;
}

static int
start(struct worker *w, struct err *err)
{
    const struct progress *p = &w->deliver.applier.progress;

    w->intake.copies = true;
    if (intake_hello(&w->intake, err) != 0 ||
        intake_connect(&w->intake, "sink-pg", w->options->ackd, err) != 0)
        return -1;
    wire(w);
    if (deliver_start(&w->deliver, err) != 0 || skipping_load(w, err) != 0 ||
        copies_load(w, err) != 0 ||
        pqmark_find(w->deliver.applier.session.conn, &w->intake.hello.run_id,
                    &w->tables.target_is_source, err) != 0)
        return -1;
    w->position = p->durable;
    w->reported_lsn = p->durable.lsn;
    if (intake_register(&w->intake, "sink-pg", p->durable.lsn, p->timeline, position_of(w), err) !=
            0 ||
        skipping_registered(w, err) != 0)
        return -1;
    log_write(w->log, LOG_INFO, "registered; the target is at %s",
              p->durable.lsn == 0 ? "its beginning" : lsn_format(p->durable.lsn).text);
    return 0;
}

int
worker_run(struct worker *w, int in, struct err *err)
{
    struct intake_item item;
    int rc;

    intake_init(&w->intake, in);
    w->intake.say = say;
    w->intake.context = w;
    if (start(w, err) != 0)
        return -1;
    while ((rc = intake_next(&w->intake, w->idle_until, &item, err)) == 0) {
        w->idle_until = 0;
        if (on_item(w, &item, err) != 0) {
            copies_unstage(w);
            copies_park(w, err);
            skipping_hint(w, err);
            return -1;
        }
    }
    return rc < 0 ? -1 : intake_finished(&w->intake, err);
}

void
worker_free(struct worker *w)
{
    deliver_free(&w->deliver);
    skips_free(&w->skips);
    copyranges_free(&w->copies);
    batch_free(&w->batch);
    tables_free(&w->tables);
    intake_free(&w->intake);
}
