/* copying.c: see copying.h. */
#include "lib/copying.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copyback.h"
#include "lib/copydefinition.h"
#include "lib/copylife.h"
#include "lib/copyrows.h"
#include "lib/hash.h"
#include "lib/keylesscopy.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

/* ---- notes ---- */

bool
copying_counts_on(const struct copying *c)
{
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (!part->out && (part->state == COPY_STREAMING || part->state == COPY_COPYING ||
                           (part->state == COPY_RESYNC && part->l0 != 0)))
            return true;
    return c->carried_over;
}

enum copying_way
copying_way(const struct copying *c, uint32_t relid)
{
    const struct copypart *first = c->unfinished == 0 ? NULL : copyparts_first(c, relid);

    return first == NULL ? COPYING_APPLY : first->way;
}

bool
copying_may_lack(const struct copying *c, const struct relation *relation)
{
    const struct copypart *first = copyparts_first(c, relation->relid);

    return first != NULL && first->is_root && copyparts_has_key(relation);
}

bool
copying_passed(const struct copying *c, uint32_t relid, uint64_t commit_lsn)
{
    const struct copypart *first = commit_lsn >= c->followed ? NULL : copyparts_first(c, relid);

    return first != NULL && commit_lsn < first->followed;
}

/* ---- the stream ---- */

int
copying_meet(struct copying *c, const struct relation *relation, struct err *err)
{
    struct copypart *part;

    if (copyparts_known(c, relation->relid))
        return 0;
    part = copyparts_new(c, relation, 0, err);
    if (part == NULL)
        return -1;
    part->met = true;
    return 0;
}

void
copying_name_read(const struct hello *hello, char read[COPYDEFINITION_READ_LEN + 1])
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < hello->publications_count; i++) {
        const char *name = hello->publications[i];

        all += hash_finish(hash_bytes(HASH_SEED, name, strlen(name)));
    }
    snprintf(read, COPYDEFINITION_READ_LEN + 1, "%08" PRIx32, (uint32_t)(all >> 32));
}

bool
copying_begin_read(struct copypart *part, const char *read)
{
    enum copydefinition_read how;

    if (part->out || part->state == COPY_WAITING)
        return false;
    how = copydefinition_begin_read(part->definition, read);
    part->out = how == COPYDEFINITION_READ_LOST;
    return how != COPYDEFINITION_READ_SAME;
}

void
copying_begin(struct copying *c, const struct hello *hello)
{
    copying_name_read(hello, c->read);
    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        if (part->gone || !copying_begin_read(part, c->read))
            continue;
        copyparts_changed(c, part);
        c->urgent = true;
    }
}

/* The values of skips. */
static char skipped, came_back;

static int
set_skip(struct copying *c, uint32_t relid, void *value, struct err *err)
{
    void *replaced;

    return relmap_put(&c->skips, relid, value, &replaced) == 0 ? 0 : out_of_memory(err);
}

int
copying_skip(struct copying *c, uint32_t relid, struct err *err)
{
    return set_skip(c, relid, &skipped, err);
}

bool
copying_came_back(struct copying *c, uint32_t relid)
{
    struct err ignored;

    return relmap_get(&c->skips, relid) == &skipped &&
           set_skip(c, relid, &came_back, &ignored) == 0;
}

/* While every table without a note is streaming, no list has named this one yet. */
static int
note_unknown(struct copying *c, uint32_t relid, struct err *err)
{
    struct copypart part = {.relid = relid, .state = COPY_STREAMING};

    snprintf(part.name, sizeof part.name, "oid %" PRIu32, relid);
    return !c->carried_over || copyparts_known(c, relid) || copyparts_add(c, &part) != NULL
               ? 0
               : out_of_memory(err);
}

int
copying_left_out(struct copying *c, uint32_t relid, struct err *err)
{
    if (copying_skip(c, relid, err) != 0 || note_unknown(c, relid, err) != 0)
        return -1;
    for (struct copypart *at = copyparts_first(c, relid); at != NULL; at = at->table_next) {
        if (at->gone || at->out)
            continue;
        at->out = true;
        copyparts_changed(c, at);
        c->urgent = true;
    }
    return 0;
}

static bool
same_bytes(const struct buf *a, const struct buf *b)
{
    return buf_len(a) == buf_len(b) &&
           memcmp(a->data + a->start, b->data + b->start, buf_len(a)) == 0;
}

/* The parts that are in a life began it with this description. */
static int
is_as_described(struct copying *c, const struct relation *relation, bool *same, struct err *err)
{
    buf_reset(&c->values, 1u << 20);
    if (relation_encode(&c->values, relation) != 0)
        return out_of_memory(err);
    *same = true;
    for (const struct copypart *at = copyparts_first(c, relation->relid); at != NULL;
         at = at->table_next)
        *same = *same && (at->life == 0 || same_bytes(&at->described, &c->values));
    return 0;
}

int
copying_relation(struct copying *c, const struct relation *relation, uint32_t xid, bool changed,
                 struct err *err)
{
    bool same = false;

    if (copying_came_back(c, relation->relid) && copyback_take(c, relation->relid, 0, err) != 0)
        return -1;
    if (!copyparts_lives(c, relation->relid))
        return 0;
    if (!changed && is_as_described(c, relation, &same, err) != 0)
        return -1;
    if (same)
        return 0;
    if (keylesscopy_of(c, relation->relid) != NULL) {
        keylesscopy_spoil(c, keylesscopy_of(c, relation->relid));
        return 0;
    }
    return tracked_relation(&c->tracked, relation->relid, xid) == 0 ? 0 : out_of_memory(err);
}

int
copying_row(struct copying *c, const struct relation *relation, uint32_t xid, uint8_t type,
            const struct row_event *row, struct err *err)
{
    if (!copyparts_lives(c, relation->relid))
        return 0;
    return copyrows_track(c, relation, xid, type, row, err);
}

int
copying_truncate(struct copying *c, uint32_t relid, uint32_t xid, struct err *err)
{
    if (!copyparts_lives(c, relid))
        return 0;
    return tracked_truncate(&c->tracked, relid, xid) == 0 ? 0 : out_of_memory(err);
}

int
copying_touched(struct copying *c, const struct relation *relation, uint32_t xid,
                const struct touched_event *touched, struct err *err)
{
    if (touched->whole) {
        copying_truncated(c, touched->relid);
        return copying_truncate(c, touched->relid, xid, err);
    }
    if (!copyparts_lives(c, touched->relid))
        return 0;
    return copyrows_track_key(c, relation, xid, &touched->key, err);
}

/* True: the note has changed. A list that is ahead of the stream may have had the new file. */
static bool
forget_file(struct copypart *part)
{
    bool ahead = part->ahead;

    part->ahead = false;
    return !ahead && copydefinition_forget_file(part->definition);
}

/* The table has another file now. The reader must not take that for a TRUNCATE of some of its
 * partitions, and nobody for a table that was unlogged. */
void
copying_truncated(struct copying *c, uint32_t relid)
{
    for (struct copypart *at = copyparts_first(c, relid); at != NULL; at = at->table_next) {
        bool changed = !at->gone && forget_file(at);

        if (!at->gone && at->state == COPY_STREAMING && at->part != relid && at->file != 0) {
            at->file = 0;
            changed = true;
        }
        if (changed)
            copyparts_changed(c, at);
    }
}

/* ---- the frames of a copy ---- */

static int
malformed(const char *what, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed %s event", what);
}

static int
on_table(struct copying *c, struct cursor body, uint32_t elements, uint64_t position,
         struct err *err)
{
    struct copytable_event table;
    int rc = 0;

    if (copytable_decode(&body, elements, &table, err) != 0)
        return -1;
    copydefinition_add_read(table.definition, sizeof table.definition, c->read);
    if (table.sinks.count == 0 || sinklist_has(&table.sinks, c->sink))
        rc = table.life == 0 ? copylife_ask(c, &table, err)
                             : copylife_begin(c, &table, position, err);
    relation_free(&table.relation);
    return rc;
}

static int
on_range(struct copying *c, struct cursor body, uint32_t elements, struct err *err)
{
    struct copypart *part;
    struct range_event range;

    if (range_decode(&body, elements, &range, err) != 0)
        return -1;
    part = copyparts_of_life(c, range.life);
    if (heldranges_begin(&c->held, &range, err) != 0)
        return -1;
    if (part != NULL && part->keyless && keylesscopy_range(part, &range, err) != 0)
        return -1;
    if (part == NULL || part->began <= range.floor)
        return 0;
    return err_set(err, EXIT_BUG,
                   "a range's floor lies before the place where this worker began to track "
                   "%s.%s",
                   part->schema, part->name);
}

static int
on_rows(struct copying *c, uint8_t type, struct cursor body, uint32_t elements, struct err *err)
{
    struct rows_event rows;

    if (!rows_decode(&body, elements, &rows))
        return malformed("rows", err);
    return heldranges_rows(&c->held, type, &rows, err);
}

static int
on_range_end(struct copying *c, struct cursor body, uint32_t elements, struct err *err)
{
    struct range_end_event end;

    if (!range_end_decode(&body, elements, &end))
        return malformed("range end", err);
    return heldranges_end(&c->held, &end, err);
}

static int
on_horizon(struct copying *c, struct cursor body, uint32_t elements, struct err *err)
{
    const struct snapshot *const *snapshots;
    struct snapshot horizon;
    size_t count = 0;
    int rc;

    rc = horizon_decode(&body, elements, &horizon, err);
    if (rc == 0) {
        snapshots = heldranges_snapshots(&c->held, &count);
        if (snapshots == NULL)
            rc = out_of_memory(err);
        else
            tracked_forget(&c->tracked, &horizon, snapshots, count);
    }
    snapshot_free(&horizon);
    return rc;
}

static int
on_table_end(struct copying *c, struct cursor body, uint32_t elements, struct err *err)
{
    enum life_end how;
    uint64_t life;

    if (!table_end_decode(&body, elements, &life, &how))
        return malformed("table end", err);
    return how == LIFE_LISTED ? copylife_end_list(c, err) : copylife_end(c, life, how, err);
}

bool
copying_drops_due(const struct copying *c, uint8_t type, struct cursor body, uint32_t elements,
                  uint64_t position)
{
    const struct heldrange *range = heldranges_due(c->held.first, position);
    enum life_end how;
    uint64_t life;

    if (type != FRAME_TABLE_END || !table_end_decode(&body, elements, &life, &how))
        return false;
    while (range != NULL && range->range.life != life)
        range = heldranges_due(range->next, position);
    return range != NULL;
}

int
copying_frame(struct copying *c, uint8_t type, struct cursor body, uint32_t elements,
              uint64_t position, struct err *err)
{
    switch (type) {
    case FRAME_COPYTABLE:
        return on_table(c, body, elements, position, err);
    case FRAME_RANGE:
        return on_range(c, body, elements, err);
    case FRAME_ROWS:
    case FRAME_ABSENT:
        return on_rows(c, type, body, elements, err);
    case FRAME_RANGE_END:
        return on_range_end(c, body, elements, err);
    case FRAME_HORIZON:
        return on_horizon(c, body, elements, err);
    default:
        return on_table_end(c, body, elements, err);
    }
}

/* ---- the commit ---- */

bool
copying_has_notes(const struct copying *c)
{
    return c->pending && !c->listing;
}

bool
copying_is_due(const struct copying *c, uint64_t position)
{
    return copying_has_notes(c) || heldranges_due(c->held.first, position) != NULL;
}

/* Nothing of the table comes before it is reported. */
static bool
is_last(const struct heldrange *range)
{
    return range->range.kind != RANGE_BLOCKS || range->end.open;
}

bool
copying_last_is_due(const struct copying *c, uint64_t position)
{
    const struct heldrange *range = heldranges_due(c->held.first, position);

    while (range != NULL && !is_last(range))
        range = heldranges_due(range->next, position);
    return range != NULL;
}

size_t
copying_due_bytes(const struct copying *c, uint64_t position)
{
    size_t bytes = 0;

    for (const struct heldrange *range = heldranges_due(c->held.first, position); range != NULL;
         range = heldranges_due(range->next, position))
        bytes += buf_len(&range->rows);
    return bytes;
}

bool
copying_is_busy(const struct copying *c)
{
    return c->pending || c->unfinished > 0 || c->held.first != NULL;
}

/* The file is another one, so the finished ranges of the one before are void. */
static int
note_blocks(struct copying *c, struct copypart *part, const struct heldrange *range)
{
    if (part->file != range->range.file) {
        part->done.count = 0;
        part->rows = 0;
        part->file = range->range.file;
    }
    part->rows += range->rows_count;
    copyparts_changed(c, part);
    return spans_add(
        &part->done,
        (struct span){.from = range->range.from, .to = range->end.to, .open = range->end.open});
}

static int
collect(struct copying *c, struct heldrange *range)
{
    struct copypart *part = copyparts_of_life(c, range->range.life);

    c->pending = true;
    range->fate = HELDRANGE_DROPPED;
    if (part == NULL || part->spoiled ||
        tracked_must_drop(&c->tracked, part->relid, &range->range.snapshot))
        return 0;
    range->fate = HELDRANGE_WRITTEN;
    return range->range.kind == RANGE_BLOCKS ? note_blocks(c, part, range) : 0;
}

int
copying_collect(struct copying *c, uint64_t position, size_t bytes, struct err *err)
{
    size_t taken = 0;

    for (struct heldrange *range = heldranges_due(c->held.first, position);
         range != NULL && taken < bytes; range = heldranges_due(range->next, position)) {
        if (range->fate != HELDRANGE_WAITS)
            continue;
        if (collect(c, range) != 0)
            return out_of_memory(err);
        if (range->fate == HELDRANGE_WRITTEN)
            taken += buf_len(&range->rows) + 1;
    }
    return 0;
}

struct heldrange *
copying_next(const struct copying *c, struct heldrange *from)
{
    struct heldrange *range = from == NULL ? c->held.first : from->next;

    while (range != NULL && range->fate != HELDRANGE_WRITTEN)
        range = range->next;
    return range;
}

int
copying_judge(struct copying *c, const struct heldrange *range, struct tuple *row,
              enum tracked_verdict *verdict, struct err *err)
{
    const struct relation *relation = &range->range.relation;
    struct bytes key;

    *verdict = TRACKED_WRITE;
    if (tracked_is_empty(&c->tracked) || !copyparts_has_key(relation))
        return 0;
    if (copyrows_key(c, relation, row, NULL, &key, err) != 0)
        return -1;
    *verdict = tracked_judge(&c->tracked, relation->relid, key, &range->range.snapshot);
    return *verdict == TRACKED_LAY_OVER ? copyrows_lay_over(c, range, key, row, err) : 0;
}

void
copying_committed(struct copying *c)
{
    c->pending = c->urgent = false;
    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        part->changed = false;
        part->noted = true;
        part->parked_noted = part->parked;
        part->stages = part->undone = false;
        part->all_read = part->all_read && part->state == COPY_RESYNC;
        keylesscopy_committed(part);
        if (part->state == COPY_NEW)
            part->state = COPY_WAITING;
    }
    copyparts_look(c);
}

uint32_t
copying_taken(struct copying *c)
{
    uint32_t taken = c->listed ? c->taken : 0;

    c->taken -= taken;
    return taken;
}

struct copypart *
copying_refiled(struct copying *c)
{
    struct copypart *part = c->parts;

    while (part != NULL && !part->refiled)
        part = part->next;
    if (part != NULL)
        part->refiled = false;
    return part;
}

void
copying_free(struct copying *c)
{
    while (c->parts != NULL) {
        struct copypart *part = c->parts;

        c->parts = part->next;
        spans_free(&part->done);
        buf_free(&part->missing);
        buf_free(&part->described);
        snapshot_free(&part->snapshot);
        free(part);
    }
    relmap_free(&c->tables);
    relmap_free(&c->skips);
    tracked_free(&c->tracked);
    heldranges_free(&c->held);
    buf_free(&c->key);
    buf_free(&c->values);
}
