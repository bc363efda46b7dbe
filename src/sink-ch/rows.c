/* rows.c: turns one row event into encoded rows of the batch, which are a new row, a tombstone, or
 * both. Every value is converted here, so that an error names the change.
 *
 * A key change adds the new row before the old key's tombstone. If a request is cut in the middle
 * (trap 103), the unchanged TOAST values are still in at least one of the two. */
#include "sink-ch/rows.h"

#include "lib/names.h"
#include "sink-ch/displaced.h"
#include "sink-ch/rows_value.h"

#define ROW_MAX ((size_t)2 << 30)

static int
out_of_memory(const struct change *change, struct err *err)
{
    err_set(err, EXIT_PEER, "out of memory for a row of table \"%s\"", change->table->source_name);
    return table_error(change->table, change->worker->transaction.commit_lsn, err);
}

static int
not_sent(const struct change *change, const struct column *column, struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "the value of column \"%s\" of table \"%s\" was not sent (unchanged TOAST), and there "
            "is no older row to take it from",
            column->name, change->table->source_name);
    err_hint(
        err,
        "with ALTER TABLE %s REPLICA IDENTITY FULL on the source later changes have all values",
        names_show_table(change->table->relation.schema, change->table->relation.name).text);
    change->worker->skips.helps = true;
    return table_error(change->table, change->worker->transaction.commit_lsn, err);
}

/* ---- encoding ---- */

static int
put_key(const struct change *change, const struct tuple *tuple, struct buf *out, struct err *err)
{
    for (uint32_t i = 0; i < change->table->keys_count; i++) {
        struct column *column = &change->table->columns[i];
        const struct value *v = rows_value_of(change->row, tuple, column);

        if (v->kind == VALUE_UNCHANGED)
            return not_sent(change, column, err);
        if (rows_put_value(change, tuple, column, v, out, err) != 0)
            return -1;
    }
    return 0;
}

int
rows_check_version(const struct worker *worker, const struct table *table, struct err *err)
{
    uint64_t lsn = worker->transaction.commit_lsn;

    if (!table->has_version || version_has_room(table->version_width, table->mark.offset, lsn))
        return 0;
    err_set(err, EXIT_REFUSED, "the source's LSNs are too large for the %s version of %s",
            table->version_width == 16 ? "UInt128" : "UInt64", table->target_sql);
    err_hint(err, "make the table anew%s and copy the source's rows into it with version 0",
             table->version_width == 16 ? "" : " with a UInt128 as version");
    return table_error(table, lsn, err);
}

struct version
rows_version(const struct worker *worker, const struct table *table, uint64_t ordinal)
{
    return version_make(table->version_width, table->mark.offset + worker->transaction.commit_lsn,
                        ordinal);
}

static struct version
version_of(const struct change *change)
{
    return rows_version(change->worker, change->table, change->row->header.ordinal);
}

/* Version and deleted flag. */
static void
put_suffix(const struct change *change, bool deleted, struct buf *out)
{
    const struct table *table = change->table;

    struct version version = version_of(change);

    if (table->has_version && table->version_width == 16)
        convert_put(out, version.low, 8);
    if (table->has_version)
        convert_put(out, version.high, 8);
    if (table->has_deleted)
        convert_put(out, deleted, 1);
}

/* ---- unchanged TOAST ---- */

/* The source of a row's missing values, which is the older row of the key in the batch, or a
 * hole. */
struct older {
    const struct batch_entry *entry; /* NULL if the batch has none */
    struct cursor at;                /* the entry's next column, in worker->old_row */
    const struct batch_hole *holes;  /* the entry's; NULL: none */
    bool deleted;                    /* by an earlier change, so the target's row is not its row */
};

static bool
lacks_values(const struct change *change)
{
    for (uint32_t i = change->table->keys_count; i < change->table->columns_count; i++)
        if (rows_value_of(change->row, &change->row->new_row, &change->table->columns[i])->kind ==
            VALUE_UNCHANGED)
            return true;
    return false;
}

/* The bytes of the older row's next column, with len 0 for a hole there too. */
static bool
older_column(struct older *older, const struct table *table, uint32_t number, struct bytes *out)
{
    struct cursor before = older->at;

    *out = (struct bytes){.data = before.at, .len = 0};
    if (older->holes != NULL && hole_map_get(&older->holes->map, number))
        return true;
    if (!chtype_skip(&table->columns[number].type, &older->at))
        return false;
    out->len = before.left - older->at.left;
    return true;
}

static int
open_older(const struct change *change, struct bytes key, struct older *older, struct err *err)
{
    const struct batch *batch = &change->worker->batch;
    uint32_t number = batch_find(batch, change->table->number, key);
    struct buf *copy = &change->worker->old_row;
    struct bytes skipped;

    *older = (struct older){0};
    if (number == BATCH_NONE)
        return 0;
    older->entry = &batch->entries[number];
    if (older->entry->tombstone && change->table->copied) {
        *older = (struct older){.deleted = true};
        return 0;
    }
    if (older->entry->tombstone)
        return not_sent(change, &change->table->columns[change->table->keys_count], err);
    buf_reset(copy, 1u << 20);
    buf_append(copy, batch_bytes_at(batch, older->entry->at), older->entry->len);
    if (copy->failed)
        return out_of_memory(change, err);
    older->at = cursor_over(copy->data, buf_len(copy));
    if (older->entry->hole != BATCH_NONE)
        older->holes = &batch->holes[older->entry->hole];
    for (uint32_t i = 0; i < change->table->keys_count; i++)
        if (!older_column(older, change->table, i, &skipped))
            return err_set(err, EXIT_BUG, "a row of the batch does not parse");
    return 0;
}

/* The columns behind the key. Missing ones come from `older`. Those that it lacks too are holes. */
static int
put_lacking_row(const struct change *change, struct older *older, struct hole_map *holes,
                struct err *err)
{
    const struct table *table = change->table;
    const struct tuple *row = &change->row->new_row;
    struct buf *arena = &change->worker->batch.arena;

    for (uint32_t i = table->keys_count; i < table->columns_count; i++) {
        struct column *column = &table->columns[i];
        const struct value *v = rows_value_of(change->row, row, column);
        struct bytes found = {0};

        if (older->entry != NULL && !older_column(older, table, i, &found))
            return err_set(err, EXIT_BUG, "a row of the batch does not parse");
        if (v->kind != VALUE_UNCHANGED) {
            if (rows_put_value(change, row, column, v, arena, err) != 0)
                return -1;
        } else if (found.len > 0) {
            buf_append(arena, found.data, found.len);
        } else {
            hole_map_set(holes, i);
        }
    }
    return 0;
}

/* ---- rows of the batch ---- */

static int
add_entry(const struct change *change, size_t at, size_t key_len, bool tombstone, uint32_t hole,
          struct err *err)
{
    struct batch *batch = &change->worker->batch;
    struct batch_entry entry = {.at = at,
                                .len = buf_len(&batch->arena) - at,
                                .key_len = key_len,
                                .table = change->table->number,
                                .lsn = change->worker->transaction.commit_lsn,
                                .hole = hole,
                                .tombstone = tombstone};

    if (batch->arena.failed || batch_add(batch, &entry) != 0)
        return out_of_memory(change, err);
    return 0;
}

static int
put_whole_row(const struct change *change, struct err *err)
{
    const struct table *table = change->table;
    const struct tuple *row = &change->row->new_row;
    struct buf *arena = &change->worker->batch.arena;

    for (uint32_t i = table->keys_count; i < table->columns_count; i++) {
        struct column *column = &table->columns[i];

        if (rows_put_value(change, row, column, rows_value_of(change->row, row, column), arena,
                           err) != 0)
            return -1;
    }
    return 0;
}

static int
check_row_size(const struct change *change, size_t at, struct err *err)
{
    if (buf_len(&change->worker->batch.arena) - at <= ROW_MAX)
        return 0;
    err_set(err, EXIT_REFUSED, "a row of table \"%s\" is longer than %zu bytes in ClickHouse",
            change->table->source_name, ROW_MAX);
    return table_error(change->table, change->worker->transaction.commit_lsn, err);
}

static bool
has_holes(const struct table *table, const struct hole_map *map)
{
    for (uint32_t i = table->keys_count; i < table->columns_count; i++)
        if (hole_map_get(map, i))
            return true;
    return false;
}

/* The last place of a row with holes. It has the older row's places, and after a key change one
 * more. Both keys are in the arena. old_key.len is 0 if the change has no old row. BATCH_NONE when
 * memory is out. */
static uint32_t
add_places(const struct change *change, const struct older *older, struct bytes own_key,
           struct bytes old_key, const struct hole_map *map)
{
    struct batch *batch = &change->worker->batch;
    struct batch_hole hole = {.before = BATCH_NONE, .map = *map};

    if (older->deleted)
        hole.from = version_of(change);
    if (older->holes != NULL) {
        hole.from = older->holes->from;
        hole.before = older->holes->before;
    }
    if (old_key.len > 0 &&
        (old_key.len != own_key.len || memcmp(old_key.data, own_key.data, own_key.len) != 0)) {
        hole.key_at = (size_t)(old_key.data - batch->arena.data);
        hole.key_len = old_key.len;
        hole.before = batch_add_hole(batch, &hole);
        hole.from = version_of(change);
        if (hole.before == BATCH_NONE)
            return BATCH_NONE;
    }
    hole.key_at = (size_t)(own_key.data - batch->arena.data);
    hole.key_len = own_key.len;
    return batch_add_hole(batch, &hole);
}

/* The key as it is noted if the row turns out to be missing. */
static int
put_named(const struct change *change, struct buf *out, struct err *err)
{
    const struct row_event *row = change->row;

    if (copymissing_put_key(&change->table->relation, &row->new_row,
                            row->old_kind == OLD_NONE ? NULL : &row->old_row, out, err) == 0)
        return 0;
    return table_place(change->table, change->worker->transaction.commit_lsn, err);
}

static int
add_lacking_row(const struct change *change, struct err *err)
{
    struct buf *arena = &change->worker->batch.arena;
    size_t old_at = buf_len(arena), old_len = change->old_key.len, named_at, at, key_len;
    uint32_t hole = BATCH_NONE;
    struct hole_map map = {0};
    struct older older;
    struct bytes key;

    buf_append(arena, change->old_key.data, old_len);
    named_at = buf_len(arena);
    if (change->table->copied && put_named(change, arena, err) != 0)
        return -1;
    at = buf_len(arena);
    if (put_key(change, &change->row->new_row, arena, err) != 0)
        return -1;
    key_len = buf_len(arena) - at;
    key =
        (struct bytes){arena->data + (old_len > 0 ? old_at : at), old_len > 0 ? old_len : key_len};
    if (open_older(change, key, &older, err) != 0 ||
        put_lacking_row(change, &older, &map, err) != 0)
        return -1;
    put_suffix(change, false, arena);
    if (check_row_size(change, at, err) != 0)
        return -1;
    if (has_holes(change->table, &map)) {
        hole = add_places(change, &older, (struct bytes){arena->data + at, key_len},
                          (struct bytes){arena->data + old_at, old_len}, &map);
        if (hole == BATCH_NONE)
            return out_of_memory(change, err);
        change->worker->batch.holes[hole].named_at = named_at;
        change->worker->batch.holes[hole].named_len = at - named_at;
    }
    return add_entry(change, at, key_len, false, hole, err);
}

static int
add_row(const struct change *change, struct err *err)
{
    struct buf *arena = &change->worker->batch.arena;
    size_t at = buf_len(arena), key_len;

    if (change->table->keyed && lacks_values(change))
        return add_lacking_row(change, err);
    if (put_key(change, &change->row->new_row, arena, err) != 0)
        return -1;
    key_len = buf_len(arena) - at;
    if (put_whole_row(change, err) != 0)
        return -1;
    put_suffix(change, false, arena);
    if (check_row_size(change, at, err) != 0)
        return -1;
    return add_entry(change, at, key_len, false, BATCH_NONE, err);
}

static int
add_tombstone(const struct change *change, struct err *err)
{
    const struct table *table = change->table;
    struct buf *arena = &change->worker->batch.arena;
    size_t at = buf_len(arena);

    buf_append(arena, change->old_key.data, change->old_key.len);
    for (uint32_t i = table->keys_count; i < table->columns_count; i++)
        convert_default(&table->columns[i].type, arena);
    put_suffix(change, true, arena);
    return add_entry(change, at, change->old_key.len, true, BATCH_NONE, err);
}

/* ---- events ---- */

static int
put_old_key(struct change *change, struct err *err)
{
    struct buf *key = &change->worker->old_key;

    buf_reset(key, 1u << 20);
    if (put_key(change, &change->row->old_row, key, err) != 0)
        return -1;
    change->old_key = (struct bytes){.data = key->data, .len = buf_len(key)};
    return key->failed ? out_of_memory(change, err) : 0;
}

/* Whether the row just added has another key than the old row. */
static bool
key_changed(const struct change *change)
{
    const struct batch *batch = &change->worker->batch;
    const struct batch_entry *last = &batch->entries[batch->entries_count - 1];

    return last->key_len != change->old_key.len ||
           memcmp(batch_bytes_at(batch, last->at), change->old_key.data, last->key_len) != 0;
}

static bool
keys_equal(struct change *change, bool *equal, struct err *err)
{
    struct buf *key = &change->worker->old_row;

    buf_reset(key, 1u << 20);
    if (put_key(change, &change->row->new_row, key, err) != 0)
        return false;
    *equal = buf_len(key) == change->old_key.len &&
             memcmp(key->data, change->old_key.data, buf_len(key)) == 0;
    return true;
}

static int
apply_update(struct change *change, struct err *err)
{
    bool displaced, same_key = false;

    if (change->row->old_kind == OLD_NONE)
        return add_row(change, err);
    if (put_old_key(change, err) != 0)
        return -1;
    displaced = displaced_is_about(change);
    if (displaced && !keys_equal(change, &same_key, err))
        return -1;
    if (displaced && same_key)
        return 0; /* it must still leave the key before the transaction ends */
    if (add_row(change, err) != 0)
        return -1;
    if (!key_changed(change) || displaced)
        return 0;
    return add_tombstone(change, err);
}

static int
apply_delete(struct change *change, struct err *err)
{
    if (put_old_key(change, err) != 0)
        return -1;
    return displaced_is_about(change) ? 0 : add_tombstone(change, err);
}

static int
refuse_without_key(const struct change *change, uint8_t type, struct err *err)
{
    err_set(err, EXIT_REFUSED, "cannot apply %s of table \"%s\": rows of %s can only be added",
            type == FRAME_UPDATE ? "an update" : "a delete", change->table->source_name,
            change->table->target_sql);
    err_hint(err, "the source table needs a primary key, the target ENGINE = ReplacingMergeTree "
                  "ordered by it");
    return table_error(change->table, change->worker->transaction.commit_lsn, err);
}

int
rows_apply(struct worker *worker, struct table *table, uint8_t type, const struct row_event *row,
           struct err *err)
{
    struct change change = {.worker = worker, .table = table, .row = row};

    if (rows_check_version(worker, table, err) != 0)
        return -1;
    if (table->has_version && version_compare(version_of(&change), table->mark.at) < 0)
        return 0; /* in a replay, a later truncate has already removed it */
    if (type == FRAME_INSERT)
        return add_row(&change, err);
    if (!table->keyed)
        return refuse_without_key(&change, type, err);
    return type == FRAME_UPDATE ? apply_update(&change, err) : apply_delete(&change, err);
}
