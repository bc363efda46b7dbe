/* comparesql.c: see comparesql.h. The aliases have unusual names, since older servers replace a
 * column of the same name by the alias. */
#include "sink-ch/comparesql.h"

#include <stdio.h>

#include "sink-ch/compareform.h"

/* The first 60 bits of the MD5 of a String. */
static const char hash_begin[] =
    "bitShiftRight(reinterpretAsUInt64(reverse(substring(MD5(concat('', ";
static const char hash_end[] = ")), 1, 8))), 4)";

static void
put_text_of(const struct compare_table *t, uint32_t i, struct buf *sql)
{
    compareform_put(&t->table->columns[i], t->canons[i], sql);
}

/* Whether the column with this number in the relation is a column of the hash. Sets *index. */
static bool
takes(const struct compare_table *t, uint32_t source, bool keys_only, uint32_t *index)
{
    for (uint32_t i = 0; i < t->table->columns_count; i++) {
        const struct column *column = &t->table->columns[i];

        if (column->source != source)
            continue;
        *index = i;
        return t->canons[i] != CANON_NONE && (!keys_only || column->key);
    }
    return false;
}

/* The columns are in the relation's order, because the source has no other. */
static void
put_hash(const struct compare_table *t, bool keys_only, struct buf *sql)
{
    uint32_t columns = t->table->relation.columns_count, i;

    server_put_text(sql, hash_begin);
    for (uint32_t n = 0; n < columns; n++) {
        if (!takes(t, n, keys_only, &i))
            continue;
        put_text_of(t, i, sql);
        server_put_text(sql, ", '|', ");
    }
    for (uint32_t n = 0; n < columns; n++) {
        if (!takes(t, n, keys_only, &i) || !compareform_counts(&t->table->columns[i], t->canons[i]))
            continue;
        compareform_put_length(&t->table->columns[i], t->canons[i], sql);
        server_put_text(sql, ", '|', ");
    }
    server_put_text(sql, "''");
    server_put_text(sql, hash_end);
}

static void
put_value(const struct column *column, const char *value, struct buf *sql)
{
    if (column->type.kind == CH_STRING)
        server_put_literal(sql, value);
    else
        server_put_text(sql, value);
}

/* Rows without a value of the column can only be surplus. They belong to the first range, and to
 * every question about single rows. */
static void
put_null(const struct column *column, struct buf *sql)
{
    if (!column->type.nullable)
        return;
    server_put_text(sql, " OR isNull(");
    server_put_name(sql, column->name);
    server_put_text(sql, ")");
}

static void
put_limits(const struct compare_question *q, struct buf *sql)
{
    if (q->from != NULL) {
        server_put_text(sql, " AND ");
        server_put_name(sql, q->column->name);
        server_put_text(sql, " > ");
        put_value(q->column, q->from, sql);
    }
    if (q->to == NULL)
        return;
    server_put_text(sql, " AND (");
    server_put_name(sql, q->column->name);
    server_put_text(sql, " <= ");
    put_value(q->column, q->to, sql);
    if (q->from == NULL)
        put_null(q->column, sql);
    server_put_text(sql, ")");
}

static void
put_from(const struct compare_table *t, const struct compare_question *q, struct buf *sql)
{
    server_put_text(sql, " FROM ");
    server_put_text(sql, t->table->target_sql);
    if (t->keyed)
        server_put_text(sql, " FINAL");
    server_put_text(sql, " WHERE 1");
    if (t->table->has_deleted) {
        server_put_text(sql, " AND ");
        server_put_name(sql, t->deleted_column);
        server_put_text(sql, " = 0");
    }
    if (q->column == NULL)
        return;
    put_limits(q, sql);
    if (q->values_count == 0)
        return;
    server_put_text(sql, " AND (");
    server_put_name(sql, q->column->name);
    for (size_t i = 0; i < q->values_count; i++) {
        server_put_text(sql, i == 0 ? " IN (" : ", ");
        if (q->values[i] == NULL || (q->values[i][0] == '\0' && q->column->type.kind != CH_STRING))
            server_put_text(sql, "NULL");
        else
            put_value(q->column, q->values[i], sql);
    }
    server_put_text(sql, ")");
    put_null(q->column, sql);
    server_put_text(sql, ")");
}

/* With `keys`, the hash of the key too, which is that of the row if there is no key. */
static void
put_hashes(const struct compare_table *t, bool keys, struct buf *sql)
{
    put_hash(t, false, sql);
    server_put_text(sql, " AS walpipe_row");
    if (!keys)
        return;
    server_put_text(sql, ", ");
    put_hash(t, t->keyed, sql);
    server_put_text(sql, " AS walpipe_key");
}

static void
put_chosen(const struct compare_question *q, struct buf *sql)
{
    if (q->buckets != NULL) {
        server_put_text(sql, " WHERE walpipe_key % ");
        server_put_text(sql, q->count);
        server_put_text(sql, " IN (");
        server_put_text(sql, q->buckets);
        server_put_text(sql, ")");
    } else if (q->hashes != NULL) {
        server_put_text(sql, " WHERE walpipe_key IN (");
        server_put_text(sql, q->hashes);
        server_put_text(sql, ")");
    }
}

static void
put_list(const struct compare_table *t, const struct compare_question *q, struct buf *sql)
{
    server_put_text(sql, t->keyed ? "SELECT walpipe_key, walpipe_row, walpipe_value FROM (SELECT "
                                  : "SELECT walpipe_key, count(), '' FROM (SELECT ");
    put_hashes(t, true, sql);
    server_put_text(sql, ", ");
    if (q->column == NULL) {
        server_put_text(sql, "''");
    } else {
        server_put_text(sql, q->column->type.nullable ? "ifNull(toString(" : "toString(");
        server_put_name(sql, q->column->name);
        server_put_text(sql, q->column->type.nullable ? "), '')" : ")");
    }
    server_put_text(sql, " AS walpipe_value");
    put_from(t, q, sql);
    server_put_text(sql, ")");
    put_chosen(q, sql);
    if (!t->keyed)
        server_put_text(sql, " GROUP BY walpipe_key");
}

/* The MD5 of each column's text, separated by commas, "~" for NULL. */
static void
put_column_hashes(const struct compare_table *t, struct buf *sql)
{
    uint32_t i;

    server_put_text(sql, "concat('', ");
    for (uint32_t n = 0; n < t->table->relation.columns_count; n++) {
        if (!takes(t, n, false, &i))
            continue;
        if (t->table->columns[i].type.nullable) {
            server_put_text(sql, "if(isNull(");
            server_put_name(sql, t->table->columns[i].name);
            server_put_text(sql, "), '~', ");
        }
        server_put_text(sql, "lower(hex(MD5(");
        put_text_of(t, i, sql);
        server_put_text(sql, t->table->columns[i].type.nullable ? ")))), ',', " : "))), ',', ");
    }
    server_put_text(sql, "'') AS walpipe_hashes");
}

static void
put_version(const struct compare_table *t, struct buf *sql)
{
    if (t->table->has_version) {
        server_put_text(sql, "toString(");
        server_put_name(sql, t->version_column);
        server_put_text(sql, ") AS walpipe_version");
    } else {
        server_put_text(sql, "'' AS walpipe_version");
    }
}

static void
put_shown(const struct compare_table *t, struct buf *sql, bool inside)
{
    char alias[48];
    uint32_t i;

    for (uint32_t n = 0; n < t->table->relation.columns_count; n++) {
        if (!takes(t, n, false, &i))
            continue;
        if (inside) {
            server_put_text(sql, ", ");
            compareform_put_shown(&t->table->columns[i], sql);
            snprintf(alias, sizeof alias, " AS walpipe_shown%u", n);
        } else {
            snprintf(alias, sizeof alias, t->keyed ? ", walpipe_shown%u" : ", any(walpipe_shown%u)",
                     n);
        }
        server_put_text(sql, alias);
    }
}

static void
put_rows(const struct compare_table *t, const struct compare_question *q, struct buf *sql)
{
    server_put_text(sql, t->keyed
                             ? "SELECT walpipe_key, walpipe_version, walpipe_hashes"
                             : "SELECT walpipe_key, toString(sum(cityHash64(walpipe_version))), "
                               "toString(count())");
    put_shown(t, sql, false);
    server_put_text(sql, " FROM (SELECT ");
    put_hashes(t, true, sql);
    server_put_text(sql, ", ");
    put_version(t, sql);
    server_put_text(sql, ", ");
    put_column_hashes(t, sql);
    put_shown(t, sql, true);
    put_from(t, q, sql);
    server_put_text(sql, ")");
    put_chosen(q, sql);
    if (!t->keyed)
        server_put_text(sql, " GROUP BY walpipe_key");
}

void
comparesql_put(const struct compare_table *t, const struct compare_question *q, struct buf *sql)
{
    switch (q->kind) {
    case COMPARE_SUM:
        server_put_text(sql, "SELECT count(), sum(walpipe_row) FROM (SELECT ");
        put_hashes(t, false, sql);
        put_from(t, q, sql);
        server_put_text(sql, ")");
        break;
    case COMPARE_BUCKETS:
        server_put_text(sql, "SELECT walpipe_key % ");
        server_put_text(sql, q->count);
        server_put_text(sql, " AS walpipe_bucket, count(), sum(walpipe_row) FROM (SELECT ");
        put_hashes(t, true, sql);
        put_from(t, q, sql);
        server_put_text(sql, ") GROUP BY walpipe_bucket");
        break;
    case COMPARE_LIST:
        put_list(t, q, sql);
        break;
    case COMPARE_ROWS:
        put_rows(t, q, sql);
        break;
    }
    server_put_text(sql, " FORMAT TabSeparated");
}
