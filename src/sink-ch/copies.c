/* copies.c: see copies.h.
 *
 * A range is written at a position P of the stream, when all changes up to P are in ClickHouse. The
 * tracked changes ensure that a row of it that is written is then the source's row as of P. So it
 * gets a version between those of the changes before P and those behind it: it wins against all
 * rows that the target has of the key, and against those that a replay sends again. The version of
 * the life's beginning would be too low: a delete that the range's snapshot contains has a higher
 * one, and an update that brought the key back may be the one that was missing. */
#include "sink-ch/copies.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/copyreport.h"
#include "sink-ch/copykeyless.h"
#include "sink-ch/park.h"
#include "sink-ch/resync.h"
#include "sink-ch/rows.h"
#include "sink-ch/send.h"
#include "sink-ch/tables.h"

/* Ranges of so many bytes, over all workers, are inserted at once. Smaller ones wait for others:
 * ClickHouse makes a part of each insert, and the stream's changes are inserted with them. */
#define ENOUGH_BYTES    ((size_t)4 << 20)
#define PATIENCE_MICROS 1000000
#define PAUSE_MICROS    10000

static bool
is_on(const struct worker *w)
{
    return w->intake.hello.version == STREAM_VERSION_COPY;
}

/* ---- start ---- */

/* A streaming table without a life misses the keys of partitions that came. The next list's life
 * reads them. */
static int
read_missing_keys(struct copies *c, struct err *err)
{
    for (struct copypart *part = c->copying.parts; part != NULL; part = part->next) {
        if (part->state != COPY_STREAMING || part->out)
            continue;
        buf_reset(&c->key, 1u << 16);
        if (copymissing_list(&c->missing, part->relid, &c->key, err) != 0)
            return -1;
        if (buf_len(&c->key) == 0)
            continue;
        part->state = COPY_COPYING;
        if (part->l0 == 0)
            part->l0 = 1; /* rows that it lacks, or has too many, stay so */
        copyparts_changed(&c->copying, part);
    }
    return 0;
}

int
copies_start(struct worker *w, struct err *err)
{
    struct copies *c = &w->copies;
    const struct notetable table = {&w->server, w->options->database, w->options->pipeline,
                                    &w->intake.hello};

    c->notes = (struct copynotes){.rows.table = table,
                                  .options = w->options,
                                  .layout = &w->intake.layout,
                                  .found = w->journal.found};
    c->missing.table = table;
    c->copying.sink = w->intake.hello.sink;
    resync_serve(w);
    c->copying.kind_hint =
        "stop walpipe; if nothing else writes to the target table, in ClickHouse ALTER TABLE "
        "walpipe_tables DELETE WHERE ... the table's rows; when system.mutations shows it as done, "
        "DROP the target table, or make it anew, empty; then start again, and it is copied";
    c->copying.remade_hint =
        "if nothing else writes to the target table, run walpipe resync for it, or stop walpipe; "
        "in ClickHouse delete the table's rows from walpipe_tables (ALTER TABLE walpipe_tables "
        "DELETE WHERE ...), then TRUNCATE the target table; after the next start it is copied";
    c->copying.back_hint =
        "if nothing else writes to the target table, run walpipe resync for it, or stop walpipe; "
        "in ClickHouse TRUNCATE the target table, then ALTER TABLE walpipe_tables UPDATE state = "
        "'waiting', done = '', rows = 0 WHERE ...; when system.mutations shows it as done, start "
        "again, and it is copied; or, if no change was lost, remove 'out-' from state and set "
        "definition = '' in this way";
    c->copying.moved_hint =
        "set map back; if you have renamed the table in ClickHouse as well, ALTER TABLE "
        "walpipe_tables UPDATE target = '' WHERE ...; or, if nothing else writes to the new target "
        "table, run walpipe resync for it, or stop walpipe; in ClickHouse TRUNCATE the new target "
        "table, then ALTER TABLE walpipe_tables UPDATE state = 'waiting', done = '', rows = 0 "
        "WHERE ...; when system.mutations shows it as done, start again, and it is copied again";
    if (park_load(w, err) != 0)
        return -1;
    if (!is_on(w))
        return copynotes_require_none(&c->notes, err);
    /* An adopted history alone is no sign of rows: whoever adopts may have emptied the tables. */
    if (copynotes_load(&c->notes, &c->copying, w->journal.highest > 0, err) != 0 ||
        park_begin(w, err) != 0 || copymissing_load(&c->missing, err) != 0)
        return -1;
    copying_begin(&c->copying, &w->intake.hello);
    return c->missing.any ? read_missing_keys(c, err) : 0;
}

/* ---- the stream ---- */

int
copies_relation(struct worker *w, const struct relation *relation, bool changed, struct err *err)
{
    if (is_on(w)) {
        copyparts_rename(&w->copies.copying, relation, false);
        return copying_relation(&w->copies.copying, relation, w->intake.begin.xid, changed, err);
    }
    if (copying_came_back(&w->copies.copying, relation->relid) && w->intake.hello.shard == 0)
        log_write(w->log, LOG_WARNING, COPYING_CAME_BACK, relation->schema, relation->name);
    return 0;
}

/* Where the sink had everything at its start. Of a table without a key one worker has all, so the
 * other workers do not count. */
static uint64_t
had(const struct worker *w, const struct relation *relation)
{
    return copyparts_has_key(relation) ? w->journal.found : w->journal.before;
}

static int
ask_way(struct worker *w, struct table *table, enum copying_way *way, struct err *err)
{
    struct copying *c = &w->copies.copying;

    *way = COPYING_APPLY;
    if (!is_on(w))
        return 0;
    if (!table->met && copying_meet(c, &table->relation, err) != 0)
        return -1;
    table->met = true;
    *way = copying_way(c, table->relation.relid);
    /* The slot may be behind the rows in ClickHouse, and be moved up to it at any moment. A row
     * that came and went while the table waited would come again, and stay if its end did not. */
    if (*way != COPYING_HOLD && w->transaction.commit_lsn < had(w, &table->relation) &&
        copying_passed(c, table->relation.relid, w->transaction.commit_lsn))
        *way = COPYING_PASS;
    table->copied = *way == COPYING_UPSERT || copyparts_resyncs(c, table->relation.relid) ||
                    (*way == COPYING_APPLY && copying_may_lack(c, &table->relation));
    table->covered = resync_since(c, table->relation.relid);
    table->filling = *way == COPYING_HOLD;
    return 0;
}

static bool
is_incomplete(const struct tuple *row)
{
    for (uint32_t i = 0; i < row->count; i++)
        if (row->values[i].kind == VALUE_UNCHANGED)
            return true;
    return false;
}

/* Behind the changes before it: a miss of the same transaction counts more. */
static int
find_hot(struct worker *w, const struct relation *relation, const struct tuple *row,
         const struct tuple *old, struct err *err)
{
    struct copyhot *hot = &w->copies.hot;
    struct bytes key;

    buf_reset(&hot->key, 1u << 16);
    if (copymissing_put_key(relation, row, old, &hot->key, err) != 0)
        return -1;
    key = (struct bytes){hot->key.data + hot->key.start, buf_len(&hot->key)};
    if (hot->key.failed)
        return err_set(err, EXIT_PEER, "out of memory for a missing key");
    if (copyhot_take(hot, relation->relid, key))
        copymissing_find(&w->copies.missing, relation, key,
                         w->transaction.commit_lsn - COPIES_BELOW_POSITION);
    return 0;
}

/* A whole change. */
static int
look_for_hot(struct worker *w, const struct relation *relation, uint8_t type,
             const struct row_event *row, struct err *err)
{
    if (w->copies.hot.count == 0)
        return 0;
    if (row->old_kind != OLD_NONE && find_hot(w, relation, &row->old_row, NULL, err) != 0)
        return -1;
    return type == FRAME_DELETE ? 0
                                : find_hot(w, relation, &row->new_row,
                                           row->old_kind == OLD_NONE ? NULL : &row->old_row, err);
}

int
copies_pass(struct worker *w, struct table *table, bool *passes, struct err *err)
{
    enum copying_way way;

    if (ask_way(w, table, &way, err) != 0)
        return -1;
    *passes = way == COPYING_PASS;
    return 0;
}

int
copies_row(struct worker *w, struct table *table, const struct intake_item *item,
           const struct row_event *row, bool *pass, struct err *err)
{
    const struct bytes body = {item->frame.body.at, item->frame.body.left};
    uint8_t type = item->type;
    enum copying_way way;

    if (ask_way(w, table, &way, err) != 0)
        return -1;
    *pass = way == COPYING_PASS;
    if (way == COPYING_HOLD)
        return copykeyless_row(w, table, type, body, pass, err);
    if (way != COPYING_UPSERT && way != COPYING_RESYNC)
        return 0;
    /* A row filter makes an insert out of an update that moves a row in: it is an update of a row
     * that a range must bring. */
    if (type == FRAME_INSERT && is_incomplete(&row->new_row))
        type = FRAME_UPDATE;
    if ((type == FRAME_DELETE || !is_incomplete(&row->new_row)) &&
        look_for_hot(w, &table->relation, type, row, err) != 0)
        return -1;
    return copying_row(&w->copies.copying, &table->relation, w->intake.begin.xid, type, row, err);
}

int
copies_truncate(struct worker *w, struct table *table, bool *pass, struct err *err)
{
    enum copying_way way;

    if (ask_way(w, table, &way, err) != 0)
        return -1;
    *pass = way == COPYING_PASS || way == COPYING_HOLD;
    if (is_on(w))
        copying_truncated(&w->copies.copying, table->relation.relid);
    if (way == COPYING_HOLD)
        return copykeyless_truncate(w, table, err);
    if (way != COPYING_UPSERT && way != COPYING_RESYNC)
        return 0;
    return copying_truncate(&w->copies.copying, table->relation.relid, w->intake.begin.xid, err);
}

int
copies_touched(struct worker *w, struct intake_item *item, struct err *err)
{
    struct touched_event touched;
    const struct table *table;

    if (!touched_decode(&item->body, item->elements, &touched, w->values.new_values))
        return err_set(err, EXIT_REFUSED, "malformed touched event");
    table = relmap_get(&w->tables, touched.relid);
    if (table == NULL)
        return intake_unknown_relation(&w->intake, touched.relid, err);
    if (touched.whole && copying_way(&w->copies.copying, touched.relid) == COPYING_HOLD)
        return copykeyless_truncate(w, table, err);
    return copying_touched(&w->copies.copying, &table->relation, w->intake.begin.xid, &touched,
                           err);
}

/* Where nothing else is noted, the note is written at once. */
int
copies_left_out(struct worker *w, uint32_t relid, struct err *err)
{
    if (is_on(w))
        return copying_left_out(&w->copies.copying, relid, err);
    return copying_skip(&w->copies.copying, relid, err) == 0
               ? copynotes_leave_out(&w->copies.notes, relid, err)
               : -1;
}

int
copies_frame(struct worker *w, struct intake_item *item, struct err *err)
{
    return copying_frame(&w->copies.copying, item->type, item->body, item->elements,
                         state_position(w), err);
}

void
copies_stand_still(struct worker *w)
{
    w->copies.stands_still = true;
}

void
copies_go_on(struct worker *w)
{
    w->copies.stands_still = false;
}

/* ---- rows of a range ---- */

static int
apply(struct worker *w, struct table *table, const struct tuple *row, struct err *err)
{
    struct row_event event = {.header = {.relid = table->relation.relid}, .new_row = *row};

    return rows_apply(w, table, FRAME_INSERT, &event, err);
}

static int
take_key(struct worker *w, const struct relation *relation, const struct tuple *row,
         struct bytes *key, struct err *err)
{
    struct buf *buf = &w->copies.key;

    buf_reset(buf, 1u << 16);
    if (copymissing_put_key(relation, row, NULL, buf, err) != 0)
        return -1;
    *key = (struct bytes){buf->data + buf->start, buf_len(buf)};
    return buf->failed ? err_set(err, EXIT_PEER, "out of memory for a missing key") : 0;
}

/* Its row is as of this position in ClickHouse, or it has none. Keys that were asked for are noted
 * as missing, perhaps by another worker. */
static int
settle_key(struct worker *w, const struct heldrange *range, const struct tuple *row,
           struct err *err)
{
    const struct relation *relation = &range->range.relation;
    struct bytes key;

    if (!copyparts_has_key(relation) ||
        (range->range.kind == RANGE_BLOCKS && !w->copies.missing.any))
        return 0;
    if (take_key(w, relation, row, &key, err) != 0)
        return -1;
    copymissing_find(&w->copies.missing, relation, key, state_position(w));
    return 0;
}

/* Its row may be missing still: an update that moved an unknown row to its key is whole, too. */
static int
skip_row(struct worker *w, const struct heldrange *range, const struct tuple *row, struct err *err)
{
    const struct relation *relation = &range->range.relation;
    struct bytes key;

    if (range->range.kind != RANGE_KEYS)
        return 0;
    if (take_key(w, relation, row, &key, err) != 0)
        return -1;
    copyhot_add(&w->copies.hot, relation->relid, key);
    return 0;
}

static bool
is_full(const struct worker *w)
{
    return w->batch.alive >= w->options->batch_rows || batch_bytes(&w->batch) >= BATCH_BYTES_MAX;
}

/* Of an absent key the target shows no row. */
static int
add_row(struct worker *w, struct table *table, const struct heldrange *range, uint8_t type,
        struct tuple *row, struct err *err)
{
    enum tracked_verdict verdict;

    if (copying_judge(&w->copies.copying, range, row, &verdict, err) != 0)
        return -1;
    if (verdict == TRACKED_SKIP)
        return skip_row(w, range, row, err);
    if (type == FRAME_ABSENT && verdict != TRACKED_WRITE)
        return 0;
    if (settle_key(w, range, row, err) != 0 ||
        (type == FRAME_ROWS && apply(w, table, row, err) != 0))
        return -1;
    return is_full(w) ? send_batch(w, err) : 0;
}

static int
add_rows(struct worker *w, struct table *table, const struct heldrange *range, uint8_t type,
         struct err *err)
{
    const struct buf *rows = type == FRAME_ROWS ? &range->rows : &range->absent;
    uint32_t count = type == FRAME_ROWS ? range->rows_count : range->absent_count;
    struct cursor cursor = cursor_over(rows->data + rows->start, buf_len(rows));
    struct tuple row;

    for (uint32_t i = 0; i < count; i++) {
        if (!rows_next(&cursor, &row, w->values.new_values) ||
            row.count != range->range.relation.columns_count)
            return err_set(err, EXIT_REFUSED, "malformed rows event");
        if (add_row(w, table, range, type, &row, err) != 0)
            return -1;
    }
    return 0;
}

static int
write_range(struct worker *w, const struct heldrange *range, struct err *err)
{
    struct copypart *part = copyparts_of_life(&w->copies.copying, range->range.life);
    struct table *table = NULL;

    if (resync_range(w, part, range, err) != 0)
        return -1;
    if (range->rows_count > 0) {
        table = tables_of_range(w, &range->range.relation, err);
        if (table == NULL)
            return -1;
        table->filling = part->keyless;
        part->sent += range->rows_count;
    }
    if (add_rows(w, table, range, FRAME_ROWS, err) != 0)
        return -1;
    return add_rows(w, table, range, FRAME_ABSENT, err);
}

static int
write_ranges(struct worker *w, struct err *err)
{
    struct copying *c = &w->copies.copying;

    if (copykeyless_apply(w, err) != 0)
        return -1;
    w->transaction.commit_lsn =
        state_position(w) > COPIES_BELOW_POSITION ? state_position(w) - COPIES_BELOW_POSITION : 0;
    for (struct heldrange *range = copying_next(c, NULL); range != NULL;
         range = copying_next(c, range))
        if (write_range(w, range, err) != 0)
            return -1;
    if (w->batch.entries_count > 0 && send_batch(w, err) != 0)
        return -1;
    return copymissing_write_found(&w->copies.missing, err);
}

/* ---- missing keys ---- */

static int
answer_question(struct worker *w, struct heldrange *range, struct err *err)
{
    const struct relation *relation = &range->range.relation;

    buf_reset(&range->missing, 1u << 20);
    if (copymissing_forget_others(&w->copies.missing, relation, state_position(w), err) != 0)
        return -1;
    return copymissing_list(&w->copies.missing, relation->relid, &range->missing, err);
}

/* A key may have become missing since pg-table-read has asked last. */
static int
end_part(struct worker *w, struct copypart *part, struct err *err)
{
    buf_reset(&part->missing, 1u << 16);
    if (copymissing_list(&w->copies.missing, part->relid, &part->missing, err) != 0)
        return -1;
    part->state = buf_len(&part->missing) > 0 ? COPY_COPYING : COPY_STREAMING;
    return 0;
}

static int
look_for_missing(struct worker *w, struct err *err)
{
    struct copying *c = &w->copies.copying;

    for (struct heldrange *range = copying_next(c, NULL); range != NULL;
         range = copying_next(c, range))
        if (range->range.kind == RANGE_ASKS && answer_question(w, range, err) != 0)
            return -1;
    for (struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->ended_life != 0 && !part->keyless && part->state != COPY_RESYNC &&
            end_part(w, part, err) != 0)
            return -1;
    return 0;
}

/* ---- between two transactions ---- */

bool
copies_are_due(const struct worker *w)
{
    return is_on(w) && !w->transaction.open && !w->copies.stands_still &&
           copying_is_due(&w->copies.copying, state_position(w));
}

static uint64_t
patience(const struct worker *w)
{
    uint64_t micros = w->options->flush_millis * 1000;

    return micros < PATIENCE_MICROS ? micros : PATIENCE_MICROS;
}

/* pg-table-read sends a limited number of bytes beyond those that all workers have reported. */
static bool
are_enough(const struct worker *w)
{
    return copying_due_bytes(&w->copies.copying, state_position(w)) >=
           ENOUGH_BYTES / w->intake.hello.shards;
}

bool
copies_are_ready(struct worker *w)
{
    const struct copying *c = &w->copies.copying;
    uint64_t now;

    if (!copies_are_due(w))
        return false;
    /* Changes of a table without a key wait for its first range. */
    if (copying_has_notes(c) || w->copies.held.first != NULL ||
        copying_last_is_due(c, state_position(w)) || are_enough(w))
        return true;
    now = clock_micros();
    if (w->copies.due_since == 0)
        w->copies.due_since = now;
    return now - w->copies.due_since >= patience(w) ||
           (w->copies.pause_at != 0 && now >= w->copies.pause_at);
}

void
copies_look_at_pause(struct worker *w, bool idle)
{
    if (!idle)
        w->copies.pause_at = 0;
    else if (w->copies.pause_at == 0 && copies_are_due(w))
        w->copies.pause_at = clock_micros() + PAUSE_MICROS;
}

/* A life may begin within a list, whose notes wait for its end. */
bool
copies_must_note(const struct worker *w)
{
    const struct copying *c = &w->copies.copying;
    const struct copypart *part = c->pending && !w->transaction.open ? c->parts : NULL;

    if (part != NULL && c->urgent)
        return true;
    while (part != NULL && (!part->changed || part->life == 0))
        part = part->next;
    return part != NULL;
}

/* Worker 0 applies each TRUNCATE. */
static void
warn_of_files(struct worker *w)
{
    const struct copypart *part;

    while ((part = copying_refiled(&w->copies.copying)) != NULL)
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
    uint32_t taken = copying_taken(&w->copies.copying);

    if (taken > 0 && w->intake.hello.shard == 0)
        log_write(
            w->log, LOG_WARNING,
            "tables that are not copied, because the sink has replicated them without copies: "
            "%" PRIu32,
            taken);
}

int
copies_write(struct worker *w, struct err *err)
{
    struct copying *c = &w->copies.copying;

    if (!copies_are_due(w) && !copies_must_note(w))
        return 0;
    w->copies.due_since = w->copies.pause_at = 0;
    intake_release(&w->intake);
    if (resync_begin(w, err) != 0 || copying_collect(c, state_position(w), SIZE_MAX, err) != 0 ||
        write_ranges(w, err) != 0 || look_for_missing(w, err) != 0 ||
        copykeyless_look(w, err) != 0 || resync_settle(w, err) != 0 || park_write(w, err) != 0 ||
        copynotes_write(&w->copies.notes, c, err) != 0 || copykeyless_clear(w, err) != 0)
        return -1;
    copying_committed(c);
    warn_of_taken(w);
    warn_of_files(w);
    return copyreport_send(c, &w->intake.ack, err);
}

void
copies_free(struct copies *c)
{
    copying_free(&c->copying);
    copynotes_free(&c->notes);
    copymissing_free(&c->missing);
    copyhot_free(&c->hot);
    copyheld_free(&c->held);
    buf_free(&c->key);
}
