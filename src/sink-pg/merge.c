/* merge.c: see merge.h. The temporary table has the columns op "char", mask integer, and c0, c1 ...
 * for the plan's columns; a delete fills the key's columns only. */
#include "sink-pg/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/sqltext.h"

/* Fewer inserts beside other changes go through the temporary table: that saves a round trip. */
#define DIRECT_INSERTS_MIN 100

/* More sets of updated columns than this are faster one by one. */
#define MASKS_MAX 16

/* ---- text of the statements ---- */

static void
write_columns(struct buf *sql, const struct plan *plan, const char *prefix)
{
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        sqltext_add(sql, "%s%s", i == 0 ? "" : ", ", prefix);
        sqltext_name(sql, plan->columns[i].name);
    }
}

/* A column of the temporary table as a value of the target's type. */
static void
write_source(struct buf *sql, const struct plan *plan, uint32_t column)
{
    sqltext_add(sql, "s.c%u", column);
    if (plan->columns[column].domain)
        sqltext_add(sql, "::%s", plan->columns[column].type);
}

static void
write_join(struct buf *sql, const struct plan *plan)
{
    for (uint32_t k = 0; k < plan->keys_count; k++) {
        uint32_t column = plan->keys[k];

        sqltext_add(sql, " AND t.");
        sqltext_name(sql, plan->columns[column].name);
        sqltext_add(sql, " %s ", plan->columns[column].equals);
        write_source(sql, plan, column);
    }
}

static void
write_copy_into_target(struct buf *sql, const struct plan *plan, enum copy_format format)
{
    sqltext_add(sql, "COPY %s (", plan->target);
    write_columns(sql, plan, "");
    sqltext_add(sql, ") FROM STDIN%s", format == COPY_BINARY ? " BINARY" : "");
}

static void
write_fill_temp(struct buf *sql, struct session *s, struct plan *plan, enum copy_format format)
{
    if (plan->temp_name[0] == '\0')
        snprintf(plan->temp_name, sizeof plan->temp_name, "pg_temp.walpipe_%llu",
                 (unsigned long long)++s->names);
    sqltext_add(sql,
                "SAVEPOINT walpipe; CREATE TEMP TABLE IF NOT EXISTS %s (op \"char\", mask int4",
                plan->temp_name + strlen("pg_temp."));
    for (uint32_t i = 0; i < plan->columns_count; i++)
        sqltext_add(sql, ", c%u %s", i, plan->columns[i].temp_type);
    sqltext_add(sql, ") ON COMMIT DELETE ROWS; ");
    if (plan->temp_tx == s->tx)
        sqltext_add(sql, "TRUNCATE %s; ", plan->temp_name);
    plan->temp_tx = s->tx;
    sqltext_add(sql, "COPY %s FROM STDIN%s", plan->temp_name,
                format == COPY_BINARY ? " BINARY" : "");
}

static void
write_update(struct buf *sql, const struct plan *plan, uint32_t number, const uint8_t *mask)
{
    const char *before = " SET ";

    sqltext_add(sql, "UPDATE %s AS t", plan->target);
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        if (plan->columns[i].key || mask[i] != 0)
            continue;
        sqltext_add(sql, "%s", before);
        sqltext_name(sql, plan->columns[i].name);
        sqltext_add(sql, " = ");
        write_source(sql, plan, i);
        before = ", ";
    }
    sqltext_add(sql, " FROM %s AS s WHERE s.op = 'U' AND s.mask = %u", plan->temp_name, number);
    write_join(sql, plan);
    sqltext_add(sql, "; ");
}

static void
write_upsert(struct buf *sql, const struct plan *plan)
{
    const char *before = ") DO UPDATE SET ";

    sqltext_add(sql, "INSERT INTO %s (", plan->target);
    write_columns(sql, plan, "");
    sqltext_add(sql, ")%s SELECT ", plan_has_identity(plan) ? " OVERRIDING SYSTEM VALUE" : "");
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        sqltext_add(sql, i == 0 ? "" : ", ");
        write_source(sql, plan, i);
    }
    sqltext_add(sql, " FROM %s AS s WHERE s.op IN ('I', 'R')%s", plan->temp_name,
                plan->overwrites ? " ON CONFLICT (" : "; ");
    if (!plan->overwrites)
        return;
    for (uint32_t k = 0; k < plan->keys_count; k++) {
        sqltext_add(sql, k == 0 ? "" : ", ");
        sqltext_name(sql, plan->columns[plan->keys[k]].name);
    }
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        if (plan->columns[i].key)
            continue;
        sqltext_add(sql, "%s", before);
        sqltext_name(sql, plan->columns[i].name);
        sqltext_add(sql, " = EXCLUDED.");
        sqltext_name(sql, plan->columns[i].name);
        before = ", ";
    }
    sqltext_add(sql, before[0] == ')' ? ") DO NOTHING; " : "; ");
}

/* ---- copying ---- */

static int
copy_full_row(struct merge *m, const struct plan *plan, const struct value *row, struct err *err)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (copyout_value(&m->copy, &row[plan->columns[i].source], plan->columns[i].recode, err) !=
            0)
            return -1;
    return copyout_row_end(&m->copy, err);
}

/* A value that COPY cannot take as it is given. */
static enum merge_result
not_copied(struct merge *m, struct plan *plan)
{
    if (m->copy.not_recoded)
        plan->copy = COPIES_BINARY;
    copyout_abort(&m->copy);
    return PQstatus(m->copy.session->conn) == CONNECTION_OK ? MERGE_NOT : MERGE_FAILED;
}

/* The format of the table's rows, as the first of them has it. */
static int
first_format(struct merge *m, const struct batch *batch, const struct table *table, uint32_t op,
             enum copy_format *format, struct err *err)
{
    struct change change;

    if (change_decode(batch, &batch->ops[op], &m->values, &change, err) != 0)
        return -1;
    *format = copyout_format(change.new_row != NULL ? change.new_row : change.match,
                             table->relation.columns_count);
    if (table->plan->copy == COPIES_RECODED)
        *format = COPY_BINARY;
    return 0;
}

static int
copy_list(struct merge *m, const struct batch *batch, struct table *table,
          const struct op_list *list, struct err *err)
{
    const struct plan *plan = table->plan;
    uint32_t at = list->first;

    for (uint32_t i = 0; i < list->count; i++) {
        struct change change;

        if (change_decode(batch, &batch->ops[at], &m->values, &change, err) != 0)
            return -1;
        copyout_row(&m->copy, plan->columns_count);
        if (copy_full_row(m, plan, change.new_row, err) != 0) {
            if (!m->copy.not_recoded)
                table->plan->copy = COPIES_NOTHING;
            return -1;
        }
        at = op_list_next(list, batch, at);
    }
    return 0;
}

enum merge_result
merge_copy(struct merge *m, struct session *s, const struct batch *batch, struct table *table,
           const struct op_list *list, struct err *err)
{
    enum copy_format format;

    if (first_format(m, batch, table, list->first, &format, err) != 0)
        return MERGE_FAILED;
    if (table->plan->copy == COPIES_NOTHING || table->plan->columns_count == 0 ||
        (format == COPY_BINARY && table->plan->copy < COPIES_BINARY))
        return MERGE_NOT;
    buf_reset(&m->sql, 1u << 16);
    sqltext_add(&m->sql, "SAVEPOINT walpipe; ");
    write_copy_into_target(&m->sql, table->plan, format);
    if (sqltext_get(&m->sql) == NULL)
        return MERGE_NOT;
    m->savepoint = true;
    if (copyout_begin(&m->copy, s, sqltext_get(&m->sql), format, NULL, 0, err) != 0)
        return MERGE_FAILED;
    if (copy_list(m, batch, table, list, err) != 0)
        return not_copied(m, table->plan);
    return copyout_end(&m->copy, err) == 0 ? MERGE_DONE : MERGE_FAILED;
}

/* ---- merging ---- */

static enum merge_result
compact_list(struct merge *m, const struct batch *batch, const struct table *table,
             const struct op_list *list, bool by_row, struct err *err)
{
    uint32_t at = list->first;

    if (compact_start(&m->compact, batch, table, list->count, by_row, err) != 0)
        return MERGE_FAILED;
    for (uint32_t i = 0; i < list->count; i++) {
        struct change change;

        if (change_decode(batch, &batch->ops[at], &m->values, &change, err) != 0)
            return MERGE_FAILED;
        switch (compact_add(&m->compact, at, &change, err)) {
        case COMPACT_DONE:
            break;
        case COMPACT_ODD:
            return MERGE_NOT;
        case COMPACT_FAILED:
            return MERGE_FAILED;
        }
        at = op_list_next(list, batch, at);
    }
    return MERGE_DONE;
}

/* The number of the update's set of columns; MASKS_MAX when there are too many. */
static uint32_t
mask_number(struct merge *m, const struct plan *plan, const struct value *row)
{
    size_t n = plan->columns_count;
    uint8_t *mask;

    if (buf_reserve(&m->masks, n + 1) != 0)
        return MASKS_MAX;
    mask = m->masks.data + m->masks.end;
    for (uint32_t i = 0; i < n; i++)
        mask[i] = row[plan->columns[i].source].kind == VALUE_UNCHANGED;
    for (uint32_t number = 0; number < m->masks_count; number++)
        if (memcmp(m->masks.data + number * n, mask, n) == 0)
            return number;
    if (m->masks_count == MASKS_MAX)
        return MASKS_MAX;
    m->masks.end += n;
    m->mask_rows[m->masks_count] = 0;
    return m->masks_count++;
}

static int
copy_key(struct merge *m, const struct plan *plan, const struct value *row, struct err *err)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (!plan->columns[i].key)
            copyout_null(&m->copy);
        else if (copyout_value(&m->copy, &row[plan->columns[i].source], plan->columns[i].recode,
                               err) != 0)
            return -1;
    return copyout_row_end(&m->copy, err);
}

static int
copy_update(struct merge *m, const struct plan *plan, const struct value *row, struct err *err)
{
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        const struct value *v = &row[plan->columns[i].source];

        if (v->kind == VALUE_UNCHANGED)
            copyout_null(&m->copy);
        else if (copyout_value(&m->copy, v, plan->columns[i].recode, err) != 0)
            return -1;
    }
    return copyout_row_end(&m->copy, err);
}

/* One line of the temporary table. */
static int
copy_net(struct merge *m, const struct plan *plan, const struct net *net, struct err *err)
{
    const struct value *row;
    uint32_t mask = 0;

    if (compact_row(&m->compact, net, &m->values, &row, err) != 0)
        return -1;
    if (net->kind == NET_UPDATE) {
        mask = mask_number(m, plan, row);
        if (mask == MASKS_MAX)
            return err_set(err, EXIT_REFUSED, "too many sets of updated columns");
        m->mask_rows[mask]++;
    }
    copyout_row(&m->copy, plan->columns_count + 2);
    copyout_char(&m->copy, (char)net->kind);
    copyout_number(&m->copy, mask);
    return net->kind == NET_DELETE   ? copy_key(m, plan, row, err)
           : net->kind == NET_UPDATE ? copy_update(m, plan, row, err)
                                     : copy_full_row(m, plan, row, err);
}

static enum merge_result
fill_temp(struct merge *m, struct session *s, struct plan *plan, enum copy_format format,
          bool with_inserts, struct err *err)
{
    buf_reset(&m->sql, 1u << 16);
    write_fill_temp(&m->sql, s, plan, format);
    if (sqltext_get(&m->sql) == NULL)
        return MERGE_NOT;
    m->savepoint = true;
    if (copyout_begin(&m->copy, s, sqltext_get(&m->sql), format, NULL, 0, err) != 0)
        return MERGE_FAILED;
    for (uint32_t i = 0; i < m->compact.count; i++) {
        const struct net *net = &m->compact.nets[i];

        if (net->kind == NET_NONE || (net->kind == NET_INSERT && !with_inserts))
            continue;
        if (copy_net(m, plan, net, err) != 0)
            return not_copied(m, plan);
    }
    return copyout_end(&m->copy, err) == 0 ? MERGE_DONE : MERGE_FAILED;
}

static enum merge_result
copy_inserts(struct merge *m, struct plan *plan, struct err *err)
{
    for (uint32_t i = 0; i < m->compact.count; i++) {
        const struct net *net = &m->compact.nets[i];
        const struct value *row;

        if (net->kind != NET_INSERT)
            continue;
        copyout_row(&m->copy, plan->columns_count);
        if (compact_row(&m->compact, net, &m->values, &row, err) != 0 ||
            copy_full_row(m, plan, row, err) != 0)
            return not_copied(m, plan);
    }
    return copyout_end(&m->copy, err) == 0 ? MERGE_DONE : MERGE_FAILED;
}

/* Deletes that must find a row. */
static uint64_t
expected_deletes(const struct compact *c)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < c->count; i++)
        n += c->nets[i].expected &&
             (c->nets[i].kind == NET_DELETE || c->nets[i].kind == NET_REPLACE);
    return n;
}

/* affected: of the DELETE where there is one, of each mask's UPDATE. Updates that found no row are
 * for the slow path, which inserts the row and says so. */
static enum merge_result
check_counts(struct merge *m, struct table *table, const uint64_t *affected, bool evict)
{
    bool deletes = m->compact.deletes + m->compact.replaces > 0;
    uint64_t expected = deletes && !evict ? expected_deletes(&m->compact) : 0;

    for (uint32_t i = 0; i < m->masks_count; i++)
        if (affected[i + deletes] != m->mask_rows[i])
            return MERGE_NOT;
    if (affected[0] < expected)
        table->missing_deletes += expected - affected[0];
    return MERGE_DONE;
}

/* All columns but the key's are unchanged: there is nothing to set. */
static bool
sets_something(const struct plan *plan, const uint8_t *mask)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (!plan->columns[i].key && mask[i] == 0)
            return true;
    return false;
}

static enum merge_result
run_merge(struct merge *m, struct session *s, struct table *table, enum copy_format format,
          bool direct, bool evict, struct err *err)
{
    struct plan *plan = table->plan;
    uint64_t affected[MASKS_MAX + 3] = {0};
    enum merge_result result;

    buf_reset(&m->sql, 1u << 16);
    if (m->compact.deletes + m->compact.replaces > 0) {
        sqltext_add(&m->sql, "DELETE FROM %s AS t USING %s AS s WHERE s.op IN ('D', 'R')",
                    plan->target, plan->temp_name);
        write_join(&m->sql, plan);
        sqltext_add(&m->sql, "; ");
    }
    for (uint32_t i = 0; i < m->masks_count; i++) {
        const uint8_t *mask = m->masks.data + (size_t)i * plan->columns_count;

        if (!sets_something(plan, mask))
            return MERGE_NOT;
        write_update(&m->sql, plan, i, mask);
    }
    if (m->compact.replaces > 0 || (m->compact.inserts > 0 && !direct))
        write_upsert(&m->sql, plan);
    if (direct)
        write_copy_into_target(&m->sql, plan, format);
    if (sqltext_get(&m->sql) == NULL)
        return MERGE_NOT;
    if (!direct)
        return copyout_script(s, "merge a batch", sqltext_get(&m->sql), affected, MASKS_MAX + 3,
                              err) != 0
                   ? MERGE_FAILED
                   : check_counts(m, table, affected, evict);
    if (copyout_begin(&m->copy, s, sqltext_get(&m->sql), format, affected, MASKS_MAX + 3, err) != 0)
        return MERGE_FAILED;
    result = copy_inserts(m, plan, err);
    return result == MERGE_DONE ? check_counts(m, table, affected, evict) : result;
}

/* Every whole row becomes a replaced one; columns only the target has
 * would be lost. */
static bool
make_evicting(struct merge *m, const struct plan *plan)
{
    if (plan->extra)
        return false;
    for (uint32_t i = 0; i < m->compact.count && !m->compact.by_row; i++) {
        struct net *net = &m->compact.nets[i];
        const struct value *row;
        struct err ignored = {0};
        bool whole = true;

        if (net->kind == NET_DELETE)
            continue;
        if (compact_row(&m->compact, net, &m->values, &row, &ignored) != 0)
            return false;
        for (uint32_t k = 0; k < plan->columns_count; k++)
            whole = whole && row[plan->columns[k].source].kind != VALUE_UNCHANGED;
        if (whole)
            net->kind = NET_REPLACE;
    }
    return true;
}

enum merge_result
merge_apply(struct merge *m, struct session *s, const struct batch *batch, struct table *table,
            const struct op_list *list, bool evict, struct err *err)
{
    struct plan *plan = table->plan;
    enum merge_result result;
    enum copy_format format;
    bool direct;

    if (plan->match != MATCH_KEY || plan->index != INDEX_ARBITER || plan->copy == COPIES_NOTHING ||
        s->no_temp)
        return MERGE_NOT;
    if (m->mask_rows == NULL)
        m->mask_rows = calloc(MASKS_MAX, sizeof *m->mask_rows);
    if (m->mask_rows == NULL)
        return MERGE_NOT;
    result = compact_list(m, batch, table, list, evict && !plan->overwrites, err);
    if (result != MERGE_DONE)
        return result;
    if (evict && !make_evicting(m, plan))
        return MERGE_NOT;
    compact_count(&m->compact);
    m->masks_count = 0;
    buf_reset(&m->masks, 1u << 16);
    if (first_format(m, batch, table, list->first, &format, err) != 0)
        return MERGE_FAILED;
    if (format == COPY_BINARY && plan->copy < COPIES_BINARY)
        return MERGE_NOT;
    direct = m->compact.inserts >= DIRECT_INSERTS_MIN;
    result = fill_temp(m, s, plan, format, !direct, err);
    return result == MERGE_DONE ? run_merge(m, s, table, format, direct, evict, err) : result;
}

void
merge_free(struct merge *m)
{
    compact_free(&m->compact);
    copyout_free(&m->copy);
    buf_free(&m->sql);
    buf_free(&m->masks);
    free(m->mask_rows);
}
