/* copying.c: see copying.h. */
#include "lib/copying.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

/* ---- notes ---- */

static struct copypart *
first_part(const struct copying *c, uint32_t relid)
{
    return relmap_get(&c->tables, relid);
}

static struct copypart *
find_part(const struct copying *c, uint32_t relid, uint32_t part)
{
    struct copypart *at = first_part(c, relid);

    while (at != NULL && (at->part != part || at->gone))
        at = at->table_next;
    return at;
}

static bool
is_known(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = first_part(c, relid);

    while (at != NULL && at->gone)
        at = at->table_next;
    return at != NULL;
}

static struct copypart *
part_of_life(const struct copying *c, uint64_t life)
{
    struct copypart *at = c->parts;

    while (at != NULL && at->life != life)
        at = at->next;
    return life == 0 ? NULL : at;
}

enum copying_way
copying_way(const struct copying *c, uint32_t relid)
{
    bool all_wait = true, all_stream = true;

    if (c->unfinished == 0)
        return COPYING_APPLY;
    for (const struct copypart *at = first_part(c, relid); at != NULL; at = at->table_next) {
        if (at->gone)
            continue;
        all_wait = all_wait && (at->state == COPY_NEW || at->state == COPY_WAITING);
        all_stream = all_stream && at->state == COPY_STREAMING;
    }
    return all_stream ? COPYING_APPLY : all_wait ? COPYING_PASS : COPYING_UPSERT;
}

/* How many tables are not all streaming: copying_way is asked for every row. */
static void
count_unfinished(struct copying *c)
{
    c->unfinished = 0;
    for (const struct copypart *at = c->parts; at != NULL; at = at->next)
        c->unfinished += !at->gone && at->state != COPY_STREAMING;
}

static void
part_changed(struct copying *c, struct copypart *part)
{
    part->changed = c->pending = c->uncounted = true;
    count_unfinished(c);
}

struct copypart *
copying_add(struct copying *c, const struct copypart *part)
{
    struct copypart *new = malloc(sizeof *new), *first = first_part(c, part->relid);
    void *replaced;

    if (new == NULL)
        return NULL;
    *new = *part;
    new->table_next = first;
    if (relmap_put(&c->tables, part->relid, new, &replaced) != 0) {
        free(new);
        return NULL;
    }
    new->next = c->parts;
    c->parts = new;
    c->uncounted = true;
    count_unfinished(c);
    return new;
}

static bool
has_name(const struct copypart *part, const struct relation *relation)
{
    return strcmp(part->schema, relation->schema) == 0 && strcmp(part->name, relation->name) == 0;
}

static void
set_name(struct copypart *part, const struct relation *relation)
{
    snprintf(part->schema, sizeof part->schema, "%s", relation->schema);
    snprintf(part->name, sizeof part->name, "%s", relation->name);
}

/* A part that the target has no note of. */
static struct copypart *
add_new(struct copying *c, const struct relation *relation, uint32_t oid, struct err *err)
{
    struct copypart part = {.relid = relation->relid, .part = oid, .state = COPY_NEW};
    struct copypart *added;

    if (c->carried_over)
        part.state = COPY_STREAMING;
    else if (is_known(c, relation->relid))
        part.state = COPY_WAITING;
    set_name(&part, relation);
    added = copying_add(c, &part);
    if (added == NULL) {
        out_of_memory(err);
        return NULL;
    }
    part_changed(c, added);
    return added;
}

/* ---- what can be copied ---- */

static int
refuse(const struct relation *relation, const char *why, const char *hint, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s.%s", relation->schema, relation->name);
    err_set(err, EXIT_REFUSED, "%s.%s cannot be copied: %s", relation->schema, relation->name, why);
    return err_hint(err, "%s", hint);
}

static bool
has_key(const struct relation *relation)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            return relation->replica_identity != 'f' && relation->replica_identity != 'n';
    return false;
}

/* Another table under the name of one that has a note. */
static const struct copypart *
namesake(const struct copying *c, const struct relation *relation)
{
    for (const struct copypart *at = c->parts; at != NULL; at = at->next)
        if (at->relid != relation->relid && !at->gone && has_name(at, relation))
            return at;
    return NULL;
}

static int
check_new(const struct copying *c, const struct relation *relation, struct err *err)
{
    if (!c->carried_over && !has_key(relation))
        return refuse(relation, "it has no key that finds its rows",
                      "give it a primary key, or an index as its replica identity, leave it out "
                      "with tables, or copy it by hand and set copy = no",
                      err);
    if (namesake(c, relation) != NULL)
        return refuse(relation, "the source's table was dropped and made again",
                      "stop walpipe; in one transaction of the target empty the table and delete "
                      "its rows from walpipe.tables; then start again, and it is copied",
                      err);
    return 0;
}

/* ---- the stream ---- */

/* A table may get another name. */
static void
rename_parts(struct copying *c, const struct relation *relation)
{
    for (struct copypart *at = first_part(c, relation->relid); at != NULL; at = at->table_next) {
        if (at->gone || has_name(at, relation))
            continue;
        set_name(at, relation);
        part_changed(c, at);
    }
}

static bool
lives(const struct copying *c, uint32_t relid)
{
    for (const struct copypart *at = first_part(c, relid); at != NULL; at = at->table_next)
        if (at->life != 0)
            return true;
    return false;
}

int
copying_meet(struct copying *c, const struct relation *relation, struct err *err)
{
    if (is_known(c, relation->relid))
        return 0;
    if (check_new(c, relation, err) != 0)
        return -1;
    return add_new(c, relation, 0, err) != NULL ? 0 : -1;
}

int
copying_relation(struct copying *c, const struct relation *relation, uint32_t xid, struct err *err)
{
    rename_parts(c, relation);
    if (!lives(c, relation->relid))
        return 0;
    return tracked_relation(&c->tracked, relation->relid, xid) == 0 ? 0 : out_of_memory(err);
}

/* The values of the identity's columns, each with its length. A TOASTed one that did not change is
 * in the old row only. */
static int
make_key(struct copying *c, const struct relation *relation, const struct tuple *row,
         const struct tuple *old, struct bytes *key, struct err *err)
{
    buf_reset(&c->key, 1u << 16);
    for (uint32_t i = 0; i < relation->columns_count && i < row->count; i++) {
        const struct value *value = &row->values[i];

        if (!relation->columns[i].key)
            continue;
        if (value->kind == VALUE_UNCHANGED && old != NULL && i < old->count)
            value = &old->values[i];
        if (value->kind != VALUE_TEXT)
            return refuse(relation, "a value of its key is not text",
                          "set binary = off in [source] while tables are copied", err);
        buf_append(&c->key, &value->len, sizeof value->len);
        buf_append(&c->key, value->data, value->len);
    }
    *key = (struct bytes){.data = c->key.data + c->key.start, .len = buf_len(&c->key)};
    return c->key.failed ? out_of_memory(err) : 0;
}

static int
track_whole(struct copying *c, const struct relation *relation, uint32_t xid,
            const struct tuple *row, const struct tuple *old, struct err *err)
{
    struct bytes key;

    if (make_key(c, relation, row, old, &key, err) != 0)
        return -1;
    return tracked_whole(&c->tracked, relation->relid, xid, key) == 0 ? 0 : out_of_memory(err);
}

static int
track_partial(struct copying *c, const struct relation *relation, uint32_t xid,
              const struct row_event *row, struct err *err)
{
    struct packer p = {.buf = &c->values};
    struct bytes key, values;

    if (make_key(c, relation, &row->new_row, row->old_kind == OLD_NONE ? NULL : &row->old_row, &key,
                 err) != 0)
        return -1;
    buf_reset(&c->values, 1u << 20);
    tuple_pack(&p, &row->new_row);
    if (c->values.failed)
        return out_of_memory(err);
    values = (struct bytes){.data = c->values.data + c->values.start, .len = buf_len(&c->values)};
    return tracked_partial(&c->tracked, relation->relid, xid, key, values) == 0
               ? 0
               : out_of_memory(err);
}

/* The old row has another key than the new one. */
static bool
key_changes(const struct relation *relation, const struct row_event *row)
{
    if (row->old_kind == OLD_NONE)
        return false;
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct value *old = &row->old_row.values[i], *new = &row->new_row.values[i];

        if (relation->columns[i].key && new->kind != VALUE_UNCHANGED &&
            (old->len != new->len || memcmp(old->data, new->data, new->len) != 0))
            return true;
    }
    return false;
}

static bool
is_partial(const struct row_event *row)
{
    for (uint32_t i = 0; i < row->new_row.count; i++)
        if (row->new_row.values[i].kind == VALUE_UNCHANGED &&
            (row->old_kind == OLD_NONE || row->old_row.values[i].kind == VALUE_NULL))
            return true;
    return false;
}

static int
track_update(struct copying *c, const struct relation *relation, uint32_t xid,
             const struct row_event *row, struct err *err)
{
    if (!key_changes(relation, row))
        return is_partial(row) ? track_partial(c, relation, xid, row, err)
                               : track_whole(c, relation, xid, &row->new_row, &row->old_row, err);
    if (track_whole(c, relation, xid, &row->old_row, NULL, err) != 0)
        return -1;
    return track_whole(c, relation, xid, &row->new_row, &row->old_row, err);
}

int
copying_row(struct copying *c, const struct relation *relation, uint32_t xid, uint8_t type,
            const struct row_event *row, struct err *err)
{
    if (!lives(c, relation->relid))
        return 0;
    if (type == FRAME_UPDATE)
        return track_update(c, relation, xid, row, err);
    return track_whole(c, relation, xid, type == FRAME_INSERT ? &row->new_row : &row->old_row, NULL,
                       err);
}

int
copying_truncate(struct copying *c, uint32_t relid, uint32_t xid, struct err *err)
{
    if (!lives(c, relid))
        return 0;
    return tracked_truncate(&c->tracked, relid, xid) == 0 ? 0 : out_of_memory(err);
}

int
copying_touched(struct copying *c, const struct relation *relation, uint32_t xid,
                const struct touched_event *touched, struct err *err)
{
    if (touched->whole)
        return copying_truncate(c, touched->relid, xid, err);
    if (!lives(c, touched->relid))
        return 0;
    return track_whole(c, relation, xid, &touched->key, NULL, err);
}

/* ---- the frames of a copy ---- */

static int
not_in_order(const char *what, struct err *err)
{
    return err_set(err, EXIT_BUG, "the event stream is not in order: %s", what);
}

static int
malformed(const char *what, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed %s event", what);
}

/* The entry for a table whose parts were not known becomes the first of them. */
static void
replace_stand_in(struct copying *c, struct copypart *part)
{
    struct copypart *stand_in = find_part(c, part->relid, 0);

    if (stand_in == NULL)
        return;
    part->state = stand_in->state;
    stand_in->gone = true;
    part_changed(c, stand_in);
}

static int
ask(struct copying *c, const struct copytable_event *table, struct err *err)
{
    struct copypart *part = find_part(c, table->relation.relid, table->part);

    rename_parts(c, &table->relation);
    if (part == NULL) {
        if (check_new(c, &table->relation, err) != 0)
            return -1;
        part = add_new(c, &table->relation, table->part, err);
        if (part == NULL)
            return -1;
        replace_stand_in(c, part);
    }
    part->asked = c->pending = true;
    part->asked_life = table->life;
    return 0;
}

static int
begin_life(struct copying *c, const struct copytable_event *table, uint64_t position,
           struct err *err)
{
    struct copypart *part = find_part(c, table->relation.relid, table->part);

    if (part == NULL)
        return not_in_order("a life of a table that was not asked about", err);
    if (part->life != 0)
        return not_in_order("a life begins before the one before has ended", err);
    part->state = COPY_COPYING;
    part->life = table->life;
    part->began = position;
    if (part->l0 == 0)
        part->l0 = position;
    if (strcmp(part->definition, table->definition) != 0) {
        part->done.count = 0;
        part->file = 0;
        part->rows = 0;
        snprintf(part->definition, sizeof part->definition, "%s", table->definition);
    }
    part_changed(c, part);
    return ask(c, table, err);
}

static int
on_table(struct copying *c, struct cursor body, uint32_t elements, uint64_t position,
         struct err *err)
{
    struct copytable_event table;
    int rc = 0;

    if (copytable_decode(&body, elements, &table, err) != 0)
        return -1;
    if (table.sinks.count == 0 || sinklist_has(&table.sinks, c->sink))
        rc = table.life == 0 ? ask(c, &table, err) : begin_life(c, &table, position, err);
    relation_free(&table.relation);
    return rc;
}

static int
on_range(struct copying *c, struct cursor body, uint32_t elements, struct err *err)
{
    const struct copypart *part;
    struct range_event range;

    if (range_decode(&body, elements, &range, err) != 0)
        return -1;
    part = part_of_life(c, range.life);
    if (heldranges_begin(&c->held, &range, err) != 0)
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

static void
finish_table(struct copying *c, struct copypart *part)
{
    part->state = COPY_STREAMING;
    part->ended_life = part->life;
    part->done.count = 0;
    if (spans_add(&part->done, (struct span){.open = true}) != 0)
        part->done.count = 0; /* all would be read again */
    part_changed(c, part);
}

static int
on_table_end(struct copying *c, struct cursor body, uint32_t elements, struct err *err)
{
    struct copypart *part;
    enum life_end how;
    uint64_t life;

    if (!table_end_decode(&body, elements, &life, &how))
        return malformed("table end", err);
    if (how == LIFE_LISTED) {
        c->listed = c->pending = true;
        return 0;
    }
    part = part_of_life(c, life);
    heldranges_drop_life(&c->held, life);
    if (part == NULL)
        return 0;
    if (how == LIFE_DONE)
        finish_table(c, part);
    part->life = 0;
    if (how == LIFE_GONE) {
        part->gone = true;
        part_changed(c, part);
    }
    if (!lives(c, part->relid))
        tracked_end(&c->tracked, part->relid);
    return 0;
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
copying_is_due(const struct copying *c, uint64_t position)
{
    return c->pending || heldranges_due(c->held.first, position) != NULL;
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
    part_changed(c, part);
    return spans_add(
        &part->done,
        (struct span){.from = range->range.from, .to = range->end.to, .open = range->end.open});
}

static int
collect(struct copying *c, struct heldrange *range)
{
    struct copypart *part = part_of_life(c, range->range.life);

    c->pending = true;
    range->fate = HELDRANGE_DROPPED;
    if (part == NULL || tracked_must_drop(&c->tracked, part->relid, &range->range.snapshot))
        return 0;
    range->fate = HELDRANGE_WRITTEN;
    return range->range.kind == RANGE_BLOCKS ? note_blocks(c, part, range) : 0;
}

int
copying_collect(struct copying *c, uint64_t position, struct err *err)
{
    for (struct heldrange *range = heldranges_due(c->held.first, position); range != NULL;
         range = heldranges_due(range->next, position))
        if (range->fate == HELDRANGE_WAITS && collect(c, range) != 0)
            return out_of_memory(err);
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

static int
lay_over(struct copying *c, const struct heldrange *range, struct bytes key, struct tuple *row,
         struct err *err)
{
    static struct value newer[COLUMNS_MAX];
    struct bytes values;
    uint32_t at = 0;

    while (tracked_next(&c->tracked, range->range.relation.relid, key, &range->range.snapshot, &at,
                        &values)) {
        struct cursor cursor = cursor_over(values.data, values.len);
        struct tuple tuple;

        if (!tuple_unpack(&cursor, &tuple, newer) || tuple.count != row->count) {
            err_set(err, EXIT_PEER, "the columns of %s.%s have changed while it is copied",
                    range->range.relation.schema, range->range.relation.name);
            return err_hint(err, "a restart reads its ranges again");
        }
        for (uint32_t i = 0; i < tuple.count; i++)
            if (newer[i].kind != VALUE_UNCHANGED)
                row->values[i] = newer[i];
    }
    return 0;
}

int
copying_judge(struct copying *c, const struct heldrange *range, struct tuple *row,
              enum tracked_verdict *verdict, struct err *err)
{
    const struct relation *relation = &range->range.relation;
    struct bytes key;

    if (make_key(c, relation, row, NULL, &key, err) != 0)
        return -1;
    *verdict = tracked_judge(&c->tracked, relation->relid, key, &range->range.snapshot);
    return *verdict == TRACKED_LAY_OVER ? lay_over(c, range, key, row, err) : 0;
}

void
copying_committed(struct copying *c)
{
    c->pending = false;
    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        part->changed = false;
        if (part->state == COPY_NEW)
            part->state = COPY_WAITING;
    }
    count_unfinished(c);
}

void
copying_free(struct copying *c)
{
    while (c->parts != NULL) {
        struct copypart *part = c->parts;

        c->parts = part->next;
        spans_free(&part->done);
        buf_free(&part->missing);
        free(part);
    }
    relmap_free(&c->tables);
    tracked_free(&c->tracked);
    heldranges_free(&c->held);
    buf_free(&c->key);
    buf_free(&c->values);
}
