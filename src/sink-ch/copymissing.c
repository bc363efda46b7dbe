/* copymissing.c: see copymissing.h. */
#include "sink-ch/copymissing.h"

#include <stdio.h>

#include "lib/copymsg.h"
#include "sink-ch/version.h"

static const char columns[] = "relid, shard, names, key, missing, version";
static const char types[] = "relid UInt32, shard UInt32, names String, key String, missing UInt8";
static const char key_columns[] = "relid, names, key";

/* This many keys fit into one report only if they are small. The others are in the next report. */
#define LIST_MAX "5000"

static void
put_where(const struct copymissing *m, uint32_t relid, struct buf *sql)
{
    notetable_put_from(&m->table, NOTETABLE_MISSING, sql);
    server_put_text(sql, " AND missing = 1 AND relid = ");
    notetable_put_number(sql, relid);
}

int
copymissing_load(struct copymissing *m, struct err *err)
{
    const struct buf *answer = &m->table.server->answer.body;
    struct buf sql = {0};

    if (notetable_make(&m->table, NOTETABLE_MISSING, types, key_columns, err) != 0)
        return -1;
    server_put_text(&sql, "SELECT 1");
    notetable_put_from(&m->table, NOTETABLE_MISSING, &sql);
    server_put_text(&sql, " AND missing = 1 LIMIT 1 FORMAT TabSeparated");
    if (server_query(m->table.server, "read " NOTETABLE_MISSING, &sql, err) != 0)
        return -1;
    m->any = buf_len(answer) > 0;
    return 0;
}

/* ---- keys ---- */

int
copymissing_put_key(const struct relation *relation, const struct tuple *row,
                    const struct tuple *old, struct buf *out, struct err *err)
{
    static struct value values[COLUMNS_MAX];
    struct tuple key = {.values = values};

    for (uint32_t i = 0; i < relation->columns_count && i < row->count; i++) {
        const struct value *value = &row->values[i];

        if (!relation->columns[i].key)
            continue;
        if (value->kind == VALUE_UNCHANGED && old != NULL && i < old->count)
            value = &old->values[i];
        if (value->kind != VALUE_TEXT) {
            err_set(err, EXIT_REFUSED, "a key of %s.%s that is missing is not text",
                    relation->schema, relation->name);
            return err_hint(err, "set binary = off in [source] while tables are copied");
        }
        values[key.count++] = *value;
    }
    copydetail_key_add(out, &key);
    return 0;
}

/* The names and types of the identity's columns: another type may not read the text of the key. */
static struct bytes
key_names(struct copymissing *m, const struct relation *relation)
{
    buf_reset(&m->names, 1u << 16);
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *column = &relation->columns[i];

        if (!column->key)
            continue;
        notetable_add_cstr(&m->names, column->name);
        notetable_add_number(&m->names, column->type_oid, 4);
    }
    return (struct bytes){.data = m->names.data + m->names.start, .len = buf_len(&m->names)};
}

static uint64_t
version_at(uint64_t position, bool missing)
{
    return version_make(8, position, missing ? 0 : 1).high;
}

static void
put_row(struct copymissing *m, const struct relation *relation, struct bytes key, bool missing,
        uint64_t position, struct buf *rows)
{
    notetable_begin_row(&m->table, rows);
    notetable_add_number(rows, relation->relid, 4);
    notetable_add_number(rows, m->table.hello->shard, 4);
    notetable_add(rows, key_names(m, relation));
    notetable_add(rows, key);
    notetable_add_number(rows, missing, 1);
    notetable_add_number(rows, version_at(position, missing), 8);
    rows->failed = rows->failed || m->names.failed;
}

void
copymissing_miss(struct copymissing *m, const struct relation *relation, struct bytes key,
                 uint64_t position)
{
    m->any = true;
    put_row(m, relation, key, true, position, &m->missed);
}

void
copymissing_find(struct copymissing *m, const struct relation *relation, struct bytes key,
                 uint64_t position)
{
    put_row(m, relation, key, false, position, &m->found);
}

int
copymissing_write_missed(struct copymissing *m, struct err *err)
{
    return notetable_insert(&m->table, NOTETABLE_MISSING, columns, &m->missed, err);
}

int
copymissing_write_found(struct copymissing *m, struct err *err)
{
    return notetable_insert(&m->table, NOTETABLE_MISSING, columns, &m->found, err);
}

/* ---- missing keys ---- */

int
copymissing_any_of(struct copymissing *m, uint32_t relid, bool *any, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "SELECT 1");
    put_where(m, relid, &sql);
    server_put_text(&sql, " LIMIT 1 FORMAT TabSeparated");
    if (server_query(m->table.server, "read " NOTETABLE_MISSING, &sql, err) != 0)
        return -1;
    *any = buf_len(&m->table.server->answer.body) > 0;
    return 0;
}

/* Worker 0 reports the keys of workers that do not exist any more. */
static void
put_own(const struct copymissing *m, struct buf *sql)
{
    const struct hello *hello = m->table.hello;

    server_put_text(sql, " AND (shard = ");
    notetable_put_number(sql, hello->shard);
    if (hello->shard == 0) {
        server_put_text(sql, " OR shard >= ");
        notetable_put_number(sql, hello->shards);
    }
    server_put_text(sql, ")");
}

int
copymissing_list(struct copymissing *m, uint32_t relid, struct buf *keys, struct err *err)
{
    const struct buf *answer = &m->table.server->answer.body;
    struct buf sql = {0};
    struct cursor c;

    if (!m->any)
        return 0;
    server_put_text(&sql, "SELECT key");
    put_where(m, relid, &sql);
    put_own(m, &sql);
    server_put_text(&sql, " LIMIT " LIST_MAX " FORMAT RowBinary");
    if (server_query(m->table.server, "read " NOTETABLE_MISSING, &sql, err) != 0)
        return -1;
    for (c = cursor_over(answer->data + answer->start, buf_len(answer)); c.left > 0;) {
        struct bytes key;

        if (!server_read_string(&c, &key))
            return err_set(err, EXIT_PEER,
                           "could not read " NOTETABLE_MISSING ": malformed answer");
        if (buf_len(keys) + key.len > COPYMSG_OPAQUE_MAX)
            break;
        buf_append(keys, key.data, key.len);
    }
    return keys->failed ? err_set(err, EXIT_PEER, "out of memory for missing keys") : 0;
}

static void
put_hex(struct bytes bytes, struct buf *sql)
{
    server_put_text(sql, "unhex('");
    for (size_t i = 0; i < bytes.len; i++) {
        char digits[3];

        snprintf(digits, sizeof digits, "%02x", bytes.data[i]);
        server_put_text(sql, digits);
    }
    server_put_text(sql, "')");
}

/* Writes keys of other columns as found. */
static void
put_others(struct copymissing *m, const struct relation *relation, uint64_t position,
           struct buf *sql)
{
    server_put_text(sql, "SELECT relid, shard, names, key, toUInt8(0), toUInt64(");
    notetable_put_number(sql, version_at(position, false));
    server_put_text(sql, ")");
    put_where(m, relation->relid, sql);
    server_put_text(sql, " AND names <> ");
    put_hex(key_names(m, relation), sql);
    server_put_text(sql, " FORMAT RowBinary");
    sql->failed = sql->failed || m->names.failed;
}

static bool
take_other(const struct copymissing *m, struct cursor *c, struct buf *rows)
{
    struct bytes head, names, key, tail;

    if (!cursor_bytes(c, 8, &head) || !server_read_string(c, &names) ||
        !server_read_string(c, &key) || !cursor_bytes(c, 9, &tail))
        return false;
    notetable_begin_row(&m->table, rows);
    buf_append(rows, head.data, head.len);
    notetable_add(rows, names);
    notetable_add(rows, key);
    buf_append(rows, tail.data, tail.len);
    return true;
}

int
copymissing_forget_others(struct copymissing *m, const struct relation *relation, uint64_t position,
                          struct err *err)
{
    const struct buf *answer = &m->table.server->answer.body;
    struct buf sql = {0}, rows = {0};
    struct cursor c;
    int rc = 0;

    if (!m->any)
        return 0;
    put_others(m, relation, position, &sql);
    if (server_query(m->table.server, "read " NOTETABLE_MISSING, &sql, err) != 0)
        return -1;
    for (c = cursor_over(answer->data + answer->start, buf_len(answer)); c.left > 0 && rc == 0;)
        if (!take_other(m, &c, &rows))
            rc = err_set(err, EXIT_PEER, "could not read " NOTETABLE_MISSING ": malformed answer");
    if (rc == 0)
        rc = notetable_insert(&m->table, NOTETABLE_MISSING, columns, &rows, err);
    buf_free(&rows);
    return rc;
}

void
copymissing_free(struct copymissing *m)
{
    buf_free(&m->missed);
    buf_free(&m->found);
    buf_free(&m->names);
}
