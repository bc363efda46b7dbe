/* copies.c: see copies.h. */
#include "sink-pg/copies.h"

#include <inttypes.h>

#include "lib/clock.h"
#include "lib/copyreport.h"
#include "sink-pg/behind.h"
#include "sink-pg/copyhints.h"

/* While the stream does not pause, ranges have a turn this often. */
#define PATIENCE_MICROS 20000

/* The stream is busy for so long behind each of its commits. */
#define BUSY_MICROS 100000

/* While it is, ranges rest for so many times the time that they have taken, which may contain a
 * wait for the target. */
#define REST_TIMES       2
#define REST_MOST_MICROS 20000

/* NULL: the stream brings none. */
static struct copying *
copying(struct worker *w)
{
    struct copyranges *copies = w->deliver.applier.copies;

    return copies == NULL ? NULL : &copies->copying;
}

/* Behind a barrier that was reported, another worker removes rows which a range may still contain.
 * So no range is written before this worker has read which rows these are. */
bool
copies_are_due(struct worker *w)
{
    return copying(w) != NULL && !w->stands_still && !w->intake.in_transaction &&
           copying_is_due(copying(w), w->position.lsn);
}

static bool
is_busy(const struct worker *w)
{
    return clock_micros() - w->streamed_at < BUSY_MICROS;
}

bool
copies_may_go(struct worker *w)
{
    return copies_are_due(w) && clock_micros() >= w->rests_until;
}

/* A busy stream gets most of the time. */
void
copies_gone(struct worker *w, uint64_t began)
{
    uint64_t rest;

    w->copied_at = clock_micros();
    rest = REST_TIMES * (w->copied_at - began);
    w->rests_until =
        is_busy(w) ? w->copied_at + (rest < REST_MOST_MICROS ? rest : REST_MOST_MICROS) : 0;
}

static enum copyranges_amount
amount_of(const struct worker *w)
{
    if (w->turn == COPIES_ALL)
        return COPYRANGES_ALL;
    return is_busy(w) ? COPYRANGES_FEW : COPYRANGES_SOME;
}

int
copies_collect(struct worker *w, const struct position *commit, struct err *err)
{
    w->copies.position = 0;
    /* Inside a transaction some of the tracked changes are not applied yet. */
    if (copying(w) == NULL || w->turn == COPIES_WAIT || w->stands_still ||
        w->intake.in_transaction || commit == NULL)
        return 0;
    return copyranges_collect(&w->copies, commit->lsn, amount_of(w), err);
}

bool
copies_have_notes(struct worker *w)
{
    return copying(w) != NULL && !w->stands_still && !w->intake.in_transaction &&
           copying_has_notes(copying(w));
}

bool
copies_starve(struct worker *w)
{
    return copies_may_go(w) && clock_micros() - w->copied_at >= PATIENCE_MICROS;
}

bool
copies_precede(struct worker *w, const struct intake_item *item, struct cursor body)
{
    return copying(w) != NULL && !w->stands_still &&
           copying_drops_due(copying(w), item->type, body, item->elements, w->position.lsn);
}

int
copies_refused(struct worker *w, struct err *err)
{
    const struct rows_clash *clash = &w->deliver.applier.ways.rows.clash;

    if (copying(w) == NULL || err->code != EXIT_REFUSED || !clash->met)
        return -1;
    return behind_note(w->options->pipeline, &w->deliver.applier.session, copying(w), clash->relid,
                       err);
}

int
copies_park(struct worker *w, struct err *err)
{
    if (copying(w) == NULL)
        return -1;
    return park_table(&w->copies.notes.park, &w->deliver.applier.session, copying(w),
                      w->position.lsn, err);
}

/* Worker 0 applies each TRUNCATE. */
static void
warn_of_files(struct worker *w)
{
    const struct copypart *part;

    while ((part = copying_refiled(copying(w))) != NULL)
        if (w->intake.hello.shard == 0)
            log_write(
                w->log, LOG_WARNING,
                "%s.%s has another file: if it was unlogged for a time, or ALTER TABLE ... USING "
                "gave it other values, these changes are lost, and it must be copied again with "
                "walpipe resync; VACUUM FULL, CLUSTER, TRUNCATE and other rewrites lose nothing",
                part->schema, part->name);
}

/* All workers find the same. */
static void
warn_of_taken(struct worker *w)
{
    uint32_t taken = copying_taken(copying(w));

    if (taken > 0 && w->intake.hello.shard == 0)
        log_write(
            w->log, LOG_WARNING,
            "tables that are not copied, because the sink has replicated them without copies: "
            "%" PRIu32,
            taken);
}

int
copies_committed(struct worker *w, struct err *err)
{
    if (copying(w) == NULL)
        return 0;
    copying_committed(copying(w));
    warn_of_taken(w);
    warn_of_files(w);
    return copyreport_send(copying(w), &w->intake.ack, err);
}

bool
copies_are_urgent(const struct worker *w)
{
    return w->copies.copying.urgent;
}

/* ---- the stream's items ---- */

/* Sets *way to the treatment of the table's changes. */
static int
ask_copying(struct worker *w, struct table *table, enum copying_way *way, struct err *err)
{
    *way = COPYING_APPLY;
    if (copying(w) == NULL)
        return 0;
    if (!table->met && copying_meet(copying(w), &table->relation, err) != 0)
        return -1;
    table->met = true;
    *way = copying_way(copying(w), table->relation.relid);
    table->copied = *way == COPYING_UPSERT;
    table->doubles = *way == COPYING_RESYNC || *way == COPYING_STAGE;
    table->behind = *way == COPYING_STAGE;
    table->tolerates = copyparts_resyncs(copying(w), table->relation.relid);
    table->may_lack = *way == COPYING_APPLY && !table->tolerates &&
                      copying_may_lack(copying(w), &table->relation);
    return 0;
}

/* As it goes into the batch. */
struct row_change {
    uint8_t type;
    struct bytes body;
};

static bool
is_incomplete(const struct tuple *row)
{
    for (uint32_t i = 0; i < row->count; i++)
        if (row->values[i].kind == VALUE_UNCHANGED)
            return true;
    return false;
}

/* A row filter makes an insert out of an update that moves a row in. Unchanged TOASTed values are
 * not in it: it is an update of a row that a range must bring. */
static int
make_update(struct worker *w, struct row_event *row, struct row_change *change, struct err *err)
{
    struct buf *frame = &w->copies.frame;

    change->type = FRAME_UPDATE;
    row->header.old_key_hash = row->header.key_hash;
    buf_reset(frame, 1u << 20);
    if (row_encode(frame, FRAME_UPDATE, row) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a change");
    change->body = (struct bytes){.data = frame->data + frame->start + FRAME_HEADER,
                                  .len = buf_len(frame) - FRAME_HEADER};
    return 0;
}

static int
track_row(struct worker *w, const struct table *table, const struct intake_item *item,
          struct row_change *change, struct err *err)
{
    struct cursor body = item->body;
    struct row_event row = {.header = item->header};

    if (!row_decode_rest(&body, item->type, item->elements, &row, &w->values) ||
        (item->type != FRAME_DELETE && row.new_row.count != table->relation.columns_count) ||
        (row.old_kind != OLD_NONE && row.old_row.count != table->relation.columns_count))
        return err_set(err, EXIT_REFUSED, "malformed row event for %s", table->label);
    if (item->type == FRAME_INSERT && is_incomplete(&row.new_row) &&
        make_update(w, &row, change, err) != 0)
        return -1;
    return copying_row(copying(w), &table->relation, w->intake.begin.xid, change->type, &row, err);
}

/* A change of a table without a key. */
static int
hold(struct worker *w, const struct relation *relation, uint8_t type, struct bytes body,
     struct err *err)
{
    const struct heldchange change = {
        .xid = w->intake.begin.xid, .commit_lsn = w->intake.begin.commit_lsn, .type = type};

    return copyheld_add(&w->copies.held, copying(w), relation, &change, body, w->log, err);
}

static int
hold_truncate(struct worker *w, const struct relation *relation, uint8_t flags, struct err *err)
{
    return hold(w, relation, FRAME_TRUNCATE, (struct bytes){.data = &flags, .len = 1}, err);
}

/* The table is copied again: its change goes to the target, if it is not behind, and to what is
 * staged. */
static int
take_twice(struct worker *w, struct table *table, const struct intake_item *item,
           struct row_change change, struct err *err)
{
    uint64_t lsn = w->intake.begin.commit_lsn;

    if (staging_join(&w->copies.staging, table, err) != 0 ||
        (!table->behind &&
         batch_add_row(&w->batch, table, change.type, change.body, lsn, err) != 0) ||
        track_row(w, table, item, &change, err) != 0)
        return -1;
    return batch_add_row(&w->batch, table->staging, change.type, change.body, lsn, err);
}

int
copies_pass(struct worker *w, struct table *table, bool *passes, struct err *err)
{
    enum copying_way way;

    if (ask_copying(w, table, &way, err) != 0)
        return -1;
    *passes = way == COPYING_PASS;
    return 0;
}

/* Old changes may come again under the name from before, so only a new one counts. */
static int
check_target(struct worker *w, struct table *table, struct err *err)
{
    if (!table->renamed)
        return 0;
    table->renamed = false;
    if (copying(w) != NULL)
        copyparts_rename(copying(w), &table->relation, false);
    return deliver_check_name(&w->deliver, &w->copies.notes, &w->copies.copying, &table->relation,
                              err);
}

int
copies_row(struct worker *w, struct table *table, const struct intake_item *item, struct err *err)
{
    struct row_change change = {
        .type = item->type, .body = {.data = item->frame.body.at, .len = item->frame.body.left}};
    enum copying_way way;

    if (check_target(w, table, err) != 0 || ask_copying(w, table, &way, err) != 0)
        return -1;
    if (way == COPYING_PASS)
        return 0;
    if (way == COPYING_HOLD)
        return hold(w, &table->relation, change.type, change.body, err);
    if (table->doubles)
        return take_twice(w, table, item, change, err);
    if (way == COPYING_UPSERT && track_row(w, table, item, &change, err) != 0)
        return -1;
    return batch_add_row(&w->batch, table, change.type, change.body, w->intake.begin.commit_lsn,
                         err);
}

int
copies_truncate(struct worker *w, struct truncate_event *truncate, struct err *err)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < truncate->count; i++) {
        struct table *table = tables_get(&w->tables, truncate->relids[i]);

        if (table != NULL && check_target(w, table, err) != 0)
            return -1;
    }
    if (copying(w) == NULL)
        return 0;
    for (uint32_t i = 0; i < truncate->count; i++) {
        uint32_t relid = truncate->relids[i];
        struct table *table = tables_get(&w->tables, relid);
        enum copying_way way;

        if (table == NULL)
            return intake_unknown_relation(&w->intake, relid, err);
        if (ask_copying(w, table, &way, err) != 0)
            return -1;
        copying_truncated(copying(w), relid);
        if (table->doubles && staging_join(&w->copies.staging, table, err) != 0)
            return -1;
        if ((way == COPYING_UPSERT || table->doubles) &&
            copying_truncate(copying(w), relid, w->intake.begin.xid, err) != 0)
            return -1;
        if (way == COPYING_HOLD && hold_truncate(w, &table->relation, truncate->flags, err) != 0)
            return -1;
        if (way != COPYING_PASS && way != COPYING_HOLD)
            truncate->relids[kept++] = relid;
    }
    truncate->count = kept;
    return 0;
}

int
copies_touched(struct worker *w, const struct intake_item *item, struct err *err)
{
    struct cursor body = item->body;
    struct touched_event touched;
    const struct table *table;

    if (!touched_decode(&body, item->elements, &touched, w->values.new_values))
        return err_set(err, EXIT_REFUSED, "malformed touched event");
    table = tables_get(&w->tables, touched.relid);
    if (table == NULL)
        return intake_unknown_relation(&w->intake, touched.relid, err);
    if (touched.whole && copying_way(copying(w), touched.relid) == COPYING_HOLD)
        return hold_truncate(w, &table->relation, 0, err);
    return copying_touched(copying(w), &table->relation, w->intake.begin.xid, &touched, err);
}

int
copies_relation(struct worker *w, const struct intake_item *item, bool changed, struct err *err)
{
    struct cursor body = item->body;
    struct relation relation;
    struct table *table;
    int rc = 0;

    if (relation_decode(&body, item->elements, &relation, err) != 0)
        return -1;
    if (copying(w) != NULL)
        rc = copying_relation(copying(w), &relation, w->intake.begin.xid, changed, err);
    else if (w->intake.hello.shard == 0 && copying_came_back(&w->copies.copying, relation.relid))
        log_write(w->log, LOG_WARNING, COPYING_CAME_BACK, relation.schema, relation.name);
    table = tables_get(&w->tables, relation.relid);
    if (table != NULL)
        table->renamed = copying(w) != NULL ? copyparts_is_renamed(copying(w), &relation)
                                            : w->copies.notes.exist;
    relation_free(&relation);
    return rc;
}

/* Where nothing else is noted, the note is written at once. */
int
copies_left_out(struct worker *w, uint32_t relid, struct err *err)
{
    if (copying(w) != NULL)
        return copying_left_out(copying(w), relid, err);
    if (copying_skip(&w->copies.copying, relid, err) != 0)
        return -1;
    return w->copies.notes.exist ? deliver_left_out(&w->deliver, &w->copies.notes, relid, err) : 0;
}

int
copies_frame(struct worker *w, const struct intake_item *item, struct cursor body, struct err *err)
{
    return copying_frame(copying(w), item->type, body, item->elements, w->position.lsn, err);
}

/* ---- start and end ---- */

static bool
stream_waits(void *context)
{
    struct worker *w = context;

    return intake_stream_waits(&w->intake);
}

void
copies_wire(struct worker *w)
{
    const struct hello *hello = &w->intake.hello;

    w->copies.notes = (struct copynotes){.pipeline = w->options->pipeline,
                                         .hello = hello,
                                         .layout = &w->intake.layout,
                                         .map = &w->options->mapping};
    w->copies.notes.park = (struct park){.pipeline = w->options->pipeline,
                                         .hello = hello,
                                         .progress = &w->deliver.applier.progress,
                                         .tables = &w->tables,
                                         .limit = w->options->park ? w->options->park_limit : 0};
    w->copies.notes.missing =
        (struct copymissing){.pipeline = w->options->pipeline, .hello = hello};
    w->copies.held = (struct copyheld){.pipeline = w->options->pipeline,
                                       .hello = hello,
                                       .layout = &w->intake.layout,
                                       .tables = &w->tables,
                                       .wholes = w->copies.wholes,
                                       .limit = w->options->hold_bytes};
    w->copies.notes.held = &w->copies.held;
    w->copies.notes.staging = &w->copies.staging;
    w->copies.staging = (struct staging){
        .pipeline = w->options->pipeline, .sink = hello->sink, .tables = &w->tables};
    w->copies.resync = (struct resync){.staging = &w->copies.staging,
                                       .notes = &w->copies.notes,
                                       .copying = &w->copies.copying,
                                       .session = &w->deliver.applier.session};
    resync_serve(&w->copies.resync, &w->copies.copying);
    w->copies.copying.sink = hello->sink;
    copyhints_set(&w->copies.copying);
    w->copies.tables = &w->tables;
    w->copies.values = &w->values;
    w->copies.waits = stream_waits;
    w->copies.context = w;
    if (hello->version == STREAM_VERSION_COPY)
        w->deliver.applier.copies = &w->copies;
    w->deliver.applier.ways.rows.copies = w->deliver.applier.copies != NULL;
}

static int
refuse_parking(struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "on_error = park needs copies: a parked table comes back by a copy, and this stream "
            "brings none");
    return err_hint(err, "set copy = yes in the sink, which copies no table that it has followed "
                         "until now; or set on_error = stop");
}

int
copies_load(struct worker *w, struct err *err)
{
    struct session *s = &w->deliver.applier.session;

    if (w->options->park && copying(w) == NULL)
        return refuse_parking(err);
    if (copying(w) == NULL)
        return copynotes_require_none(&w->copies.notes, s, err);
    if (copynotes_load(&w->copies.notes, s, copying(w), err) != 0)
        return -1;
    copying_begin(copying(w), &w->intake.hello);
    return 0;
}

void
copies_unstage(struct worker *w)
{
    struct session *s = &w->deliver.applier.session;
    struct err ignored = {0};

    if (copying(w) == NULL || copying(w)->unstage == 0 || s->conn == NULL)
        return;
    session_rollback(s);
    if (s->conn != NULL && staging_drop(&w->copies.staging, s, copying(w)->unstage, &ignored) != 0)
        log_write(w->log, LOG_WARNING, "%s", ignored.message);
}
