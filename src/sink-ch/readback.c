/* readback.c: reads unchanged TOAST values that the source did not send from ClickHouse, before the
 * row is written. One query serves all holes of a table. Its keys are RowBinary, never SQL text.
 *
 * At a replay ClickHouse may be ahead of the current row, or anywhere between the batch's beginning
 * and its end. A row with holes has been at one or more places (batch.h), which are keys, each from
 * one change to the next. A key has one row at a time. So a row that ClickHouse holds at one of
 * these keys, with a version within that place's time, is this very row. The values that the
 * batch's row lacks were the same all along, and they fill the holes. If there is no such row, but
 * a version at least as new as ours at the row's own key, our row is superseded and leaves the
 * batch. Otherwise the value is nowhere, which is an error. */
#include "sink-ch/readback.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/names.h"
#include "sink-ch/misses.h"

static const char asking[] = "read back values that the source did not send";

/* The result of one query, with rows indexed by their keys. Each row is key, columns, version,
 * deleted. */
struct found {
    struct batch rows;
    struct hole_map columns; /* asked for, besides the key */
};

/* The holes of one table. */
struct readback {
    struct worker *worker;
    const struct table *table;
    struct found held;   /* the rows that hold the values */
    struct found latest; /* the newest versions of the rows' own keys, filled when needed */
    bool latest_asked;
};

static int
out_of_memory(const struct table *table, struct err *err)
{
    err_set(err, EXIT_PEER, "out of memory for rows of table \"%s\"", table->source_name);
    return table_error(table, 0, err);
}

static uint64_t
little_endian(const uint8_t *p)
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--)
        n = n << 8 | p[i];
    return n;
}

/* The version at p, 8 or 16 bytes. */
static struct version
version_at(const struct table *table, const uint8_t *p)
{
    if (table->version_width == 8)
        return (struct version){.high = little_endian(p)};
    return (struct version){.high = little_endian(p + 8), .low = little_endian(p)};
}

/* The version of a row with the suffix version, deleted. */
static struct version
version_of(const struct table *table, const struct batch *batch, const struct batch_entry *entry)
{
    return version_at(table,
                      batch_bytes_at(batch, entry->at + entry->len - 1 - table->version_width));
}

/* The LSN in the version of a row that the stream brought. */
static uint64_t
source_lsn(const struct table *table, struct version version)
{
    return version_lsn(table->version_width, version) - table->mark.offset;
}

/* ---- the query ---- */

static void
put_key_names(const struct table *table, struct buf *sql)
{
    for (uint32_t i = 0; i < table->keys_count; i++) {
        server_put_text(sql, i == 0 ? "" : ", ");
        server_put_name(sql, table->columns[i].name);
    }
}

/* Writes "k0 Int64, k1 String". LowCardinality is left out, because old servers do not accept it
 * here. */
static void
put_structure(const struct table *table, struct buf *sql)
{
    static const char wrapper[] = "LowCardinality(";

    for (uint32_t i = 0; i < table->keys_count; i++) {
        const char *type = table->columns[i].type_text;
        char name[24];

        snprintf(name, sizeof name, "%sk%" PRIu32 " ", i == 0 ? "" : ", ", i);
        server_put_text(sql, name);
        if (strncmp(type, wrapper, sizeof wrapper - 1) == 0) {
            type += sizeof wrapper - 1;
            buf_append(sql, type, strlen(type) - 1);
        } else {
            server_put_text(sql, type);
        }
    }
    buf_append(sql, "", 1);
}

static void
put_where(const struct table *table, const char *final, struct buf *sql)
{
    server_put_text(sql, " FROM ");
    server_put_text(sql, table->target_sql);
    server_put_text(sql, final);
    server_put_text(sql, " WHERE (");
    put_key_names(table, sql);
    server_put_text(sql, ") IN " HTTP_KEYS);
}

static void
put_held_query(const struct readback *rb, const struct options *options, struct buf *sql)
{
    const struct table *table = rb->table;

    server_put_text(sql, "SELECT ");
    put_key_names(table, sql);
    for (uint32_t i = table->keys_count; i < table->columns_count; i++)
        if (hole_map_get(&rb->held.columns, i)) {
            server_put_text(sql, ", ");
            server_put_name(sql, table->columns[i].name);
        }
    server_put_text(sql, ", ");
    server_put_name(sql, options->version_column);
    server_put_text(sql, ", ");
    server_put_name(sql, options->deleted_column);
    put_where(table, " FINAL", sql);
    server_put_text(sql, " FORMAT RowBinary");
    buf_append(sql, "", 1);
}

/* Without FINAL, because FINAL hides tombstones if the engine knows the deleted flag. */
static void
put_latest_query(const struct readback *rb, const struct options *options, struct buf *sql)
{
    server_put_text(sql, "SELECT ");
    put_key_names(rb->table, sql);
    server_put_text(sql, ", max(");
    server_put_name(sql, options->version_column);
    server_put_text(sql, "), toUInt8(0)");
    put_where(rb->table, "", sql);
    server_put_text(sql, " GROUP BY ");
    put_key_names(rb->table, sql);
    server_put_text(sql, " FORMAT RowBinary");
    buf_append(sql, "", 1);
}

/* ---- the answer ---- */

static bool
skip_row(const struct readback *rb, const struct found *found, struct cursor *c, size_t *key_len)
{
    const struct table *table = rb->table;
    size_t before = c->left;
    struct bytes skipped;

    for (uint32_t i = 0; i < table->columns_count; i++) {
        if (i == table->keys_count)
            *key_len = before - c->left;
        if ((i < table->keys_count || hole_map_get(&found->columns, i)) &&
            !chtype_skip(&table->columns[i].type, c))
            return false;
    }
    if (table->keys_count == table->columns_count)
        *key_len = before - c->left;
    return cursor_bytes(c, table->version_width + 1, &skipped);
}

static int
index_answer(const struct readback *rb, struct found *found, struct err *err)
{
    struct buf *answer = &rb->worker->server.answer.body;
    struct cursor c;

    /* The rows stay where the answer put them. */
    buf_free(&found->rows.arena);
    found->rows.arena = *answer;
    *answer = (struct buf){0};
    c = cursor_over(found->rows.arena.data, buf_len(&found->rows.arena));
    while (c.left > 0) {
        struct batch_entry entry = {.at = (size_t)(c.at - found->rows.arena.data),
                                    .hole = BATCH_NONE};

        if (!skip_row(rb, found, &c, &entry.key_len)) {
            err_set(err, EXIT_PEER, "could not %s: the answer has another form than expected",
                    asking);
            return table_error(rb->table, 0, err);
        }
        entry.len = (size_t)(c.at - found->rows.arena.data) - entry.at;
        entry.tombstone = c.at[-1] != 0;
        if (batch_add(&found->rows, &entry) != 0)
            return out_of_memory(rb->table, err);
    }
    return 0;
}

static int
ask(const struct readback *rb, struct found *found, struct buf *sql, struct bytes keys,
    struct err *err)
{
    struct buf structure = {0};
    struct http_request request = {.query = (const char *)sql->data, .body = keys};
    int rc = -1;

    put_structure(rb->table, &structure);
    request.structure = (const char *)structure.data;
    if (sql->failed || structure.failed)
        out_of_memory(rb->table, err);
    else if (server_request(&rb->worker->server, asking, &request, err) == HTTP_DONE)
        rc = index_answer(rb, found, err);
    else
        table_error(rb->table, 0, err);
    buf_free(&structure);
    return rc;
}

/* ---- holes ---- */

static struct batch_hole *
hole_of(const struct readback *rb, const struct batch_entry *entry)
{
    if (entry->killed_by != BATCH_NONE || entry->hole == BATCH_NONE)
        return NULL;
    return &rb->worker->batch.holes[entry->hole];
}

static const struct batch_hole *
place_before(const struct batch *batch, const struct batch_hole *hole)
{
    return hole->before == BATCH_NONE ? NULL : &batch->holes[hole->before];
}

/* Gathers the keys that the holes read and the columns they miss. */
static bool
gather_held(struct readback *rb, struct buf *keys)
{
    const struct batch *batch = &rb->worker->batch;
    bool any = false;

    for (uint32_t e = batch->tables[rb->table->number].first; e != BATCH_NONE;
         e = batch->entries[e].next) {
        const struct batch_hole *hole = hole_of(rb, &batch->entries[e]);

        if (hole == NULL)
            continue;
        any = true;
        for (size_t i = 0; i < sizeof hole->map.bits; i++)
            rb->held.columns.bits[i] |= hole->map.bits[i];
        for (; hole != NULL; hole = place_before(batch, hole))
            buf_append(keys, batch_bytes_at(batch, hole->key_at), hole->key_len);
    }
    return any;
}

static int
ask_held(struct readback *rb, struct bytes keys, struct err *err)
{
    struct buf sql = {0};
    int rc;

    put_held_query(rb, rb->worker->options, &sql);
    rc = ask(rb, &rb->held, &sql, keys, err);
    buf_free(&sql);
    return rc;
}

/* The newest versions of all rows with holes, asked for once. */
static int
ask_latest(struct readback *rb, struct err *err)
{
    const struct batch *batch = &rb->worker->batch;
    struct buf keys = {0}, sql = {0};
    int rc;

    if (rb->latest_asked)
        return 0;
    for (uint32_t e = batch->tables[rb->table->number].first; e != BATCH_NONE;
         e = batch->entries[e].next)
        if (hole_of(rb, &batch->entries[e]) != NULL)
            buf_append(&keys, batch_bytes_at(batch, batch->entries[e].at),
                       batch->entries[e].key_len);
    put_latest_query(rb, rb->worker->options, &sql);
    if (keys.failed)
        rc = out_of_memory(rb->table, err);
    else
        rc = ask(rb, &rb->latest, &sql, (struct bytes){keys.data, buf_len(&keys)}, err);
    rb->latest_asked = true;
    buf_free(&keys);
    buf_free(&sql);
    return rc;
}

static const struct batch_entry *
find(const struct found *found, struct bytes key)
{
    uint32_t number = batch_find(&found->rows, 0, key);

    return number == BATCH_NONE ? NULL : &found->rows.entries[number];
}

/* Writes the row again at the arena's end, with the holes filled from the row `from`. */
static int
fill(struct readback *rb, struct batch_entry *entry, const struct batch_entry *from,
     struct err *err)
{
    const struct table *table = rb->table;
    struct buf *arena = &rb->worker->batch.arena;
    const struct hole_map *map = &rb->worker->batch.holes[entry->hole].map;
    struct cursor have, other = cursor_over(batch_bytes_at(&rb->held.rows, from->at), from->len);
    size_t at = buf_len(arena);

    /* Reserve first, because the row is copied within the arena, which must not move meanwhile. */
    if (buf_reserve(arena, entry->len + from->len) != 0)
        return out_of_memory(table, err);
    have = cursor_over(batch_bytes_at(&rb->worker->batch, entry->at), entry->len);
    for (uint32_t i = 0; i < table->columns_count; i++) {
        bool hole = hole_map_get(map, i);
        bool asked = i < table->keys_count || hole_map_get(&rb->held.columns, i);
        struct cursor before_have = have, before_other = other;

        if ((!hole && !chtype_skip(&table->columns[i].type, &have)) ||
            (asked && !chtype_skip(&table->columns[i].type, &other)))
            return err_set(err, EXIT_BUG, "a row that was read back does not parse");
        if (hole)
            buf_append(arena, before_other.at, before_other.left - other.left);
        else
            buf_append(arena, before_have.at, before_have.left - have.left);
    }
    buf_append(arena, have.at, have.left); /* version, deleted flag */
    entry->at = at;
    entry->len = buf_len(arena) - at;
    entry->hole = BATCH_NONE;
    return 0;
}

static int
not_found(const struct readback *rb, struct bytes key, struct version own, struct err *err)
{
    char text[2 * 24 + 1] = "";
    size_t n = key.len < 24 ? key.len : 24;

    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", key.data[i]);
    err_set(err, EXIT_REFUSED,
            "unchanged TOAST values of table \"%s\" were not sent, and %s has no row with that key "
            "(RowBinary %s%s) to take them from",
            rb->table->source_name, rb->table->target_sql, text, n < key.len ? "..." : "");
    err_hint(err,
             "under copy = yes run walpipe resync for the table, which brings rows that are "
             "missing, and start again; with ALTER TABLE %s REPLICA IDENTITY FULL on the source "
             "later changes have all values",
             names_show_table(rb->table->relation.schema, rb->table->relation.name).text);
    rb->worker->skips.helps = true;
    return table_error(rb->table, source_lsn(rb->table, own), err);
}

/* The last changes of a very large transaction share one UInt64 version (version.h). There the end
 * of a place's time cannot be told from the time before it. */
static bool
is_before(const struct table *table, struct version version, struct version end)
{
    int order = version_compare(version, end);

    return order < 0 || (order == 0 && version_is_shared(table->version_width, end));
}

/* The row in ClickHouse that is the entry's row, at one of its places. NULL if there is none. */
static const struct batch_entry *
find_values(const struct readback *rb, const struct batch_entry *entry)
{
    const struct batch *batch = &rb->worker->batch;
    const struct batch_hole *last = &batch->holes[entry->hole], *place = last;
    struct version own = version_of(rb->table, batch, entry), end = own;

    for (; place != NULL; end = place->from, place = place_before(batch, place)) {
        struct bytes key = {batch_bytes_at(batch, place->key_at), place->key_len};
        const struct batch_entry *held = find(&rb->held, key);
        struct version version;

        if (held == NULL || held->tombstone)
            continue;
        version = version_of(rb->table, &rb->held.rows, held);
        if (version_compare(version, place->from) < 0)
            continue;
        if (is_before(rb->table, version, end) ||
            (place == last && version_compare(version, own) == 0))
            return held;
    }
    return NULL;
}

/* In a replay of rows that were in ClickHouse once, a later change has removed the row. Its
 * tombstone was cleaned up since, by OPTIMIZE ... CLEANUP, by a TTL or by hand. */
static bool
was_cleaned_away(const struct readback *rb, struct version own)
{
    return source_lsn(rb->table, own) < rb->worker->journal.found;
}

/* A row of those found last. */
static bool
is_older(const struct readback *rb, const struct batch_entry *found, struct version own)
{
    return version_compare(version_of(rb->table, &rb->latest.rows, found), own) < 0;
}

/* Rows from before a resync, and rows whose key was changed since then, may have wrong values. For
 * the latter it is not known whether their first key is noted as missing. */
static bool
is_doubtful(const struct readback *rb, const struct batch_entry *entry,
            const struct batch_entry *from)
{
    const struct table *table = rb->table;
    struct version covered =
        version_make(table->version_width, table->mark.offset + table->covered, 0);

    return table->covered != 0 &&
           (place_before(&rb->worker->batch, &rb->worker->batch.holes[entry->hole]) != NULL ||
            version_compare(version_of(table, &rb->held.rows, from), covered) < 0);
}

static int
settle(struct readback *rb, uint32_t number, struct err *err)
{
    struct batch *batch = &rb->worker->batch;
    struct batch_entry *entry = &batch->entries[number];
    struct bytes key = {batch_bytes_at(batch, entry->at), entry->key_len};
    struct version own = version_of(rb->table, batch, entry);
    const struct batch_entry *found = find_values(rb, entry);

    if (found != NULL && is_doubtful(rb, entry, found))
        misses_doubt(rb->worker, rb->table, entry);
    if (found != NULL)
        return fill(rb, entry, found, err);
    if (ask_latest(rb, err) != 0)
        return -1;
    found = find(&rb->latest, key);
    if (rb->table->copied && (found == NULL || is_older(rb, found, own)))
        return misses_enter(rb->worker, rb->table, number, err);
    if (found == NULL && was_cleaned_away(rb, own)) {
        batch_drop(batch, number);
        return 0;
    }
    if (found == NULL || is_older(rb, found, own))
        return not_found(rb, key, own, err);
    batch_drop(batch, number);
    return 0;
}

static int
settle_all(struct readback *rb, struct err *err)
{
    const struct batch *batch = &rb->worker->batch;

    for (uint32_t e = batch->tables[rb->table->number].first; e != BATCH_NONE;
         e = batch->entries[e].next)
        if (hole_of(rb, &batch->entries[e]) != NULL && settle(rb, e, err) != 0)
            return -1;
    return 0;
}

int
readback_fill(struct worker *worker, const struct table *table, struct err *err)
{
    struct readback rb = {.worker = worker, .table = table};
    struct buf keys = {0};
    int rc = 0;

    if (worker->batch.holes_count == 0)
        return 0;
    batch_init(&rb.held.rows);
    batch_init(&rb.latest.rows);
    if (gather_held(&rb, &keys)) {
        if (keys.failed)
            rc = out_of_memory(table, err);
        else
            rc = ask_held(&rb, (struct bytes){keys.data, buf_len(&keys)}, err);
        if (rc == 0)
            rc = settle_all(&rb, err);
        if (rc == 0)
            rc = misses_write(worker, err);
    }
    batch_free(&rb.held.rows);
    batch_free(&rb.latest.rows);
    buf_free(&keys);
    return rc;
}
