/* resyncsql.c: see resyncsql.h. t is the target, s the staging table, and k the rows that both have
 * and that differ, with the values of the columns that only the target has. Rows go before any
 * comes, so that a unique constraint never meets two rows of which one is to go. */
#include "sink-pg/resyncsql.h"

#include <stdio.h>

#include "sink-pg/sqltext.h"

static void
write_columns(struct buf *sql, const struct plan *plan, const char *prefix)
{
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        sqltext_add(sql, "%s%s", i == 0 ? "" : ", ", prefix);
        sqltext_name(sql, plan->columns[i].name);
    }
}

static void
write_extras(struct buf *sql, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->extras_count; i++) {
        sqltext_add(sql, ", ");
        sqltext_name(sql, plan->extras[i].name);
    }
}

static void
write_join(struct buf *sql, const struct plan *plan)
{
    for (uint32_t k = 0; k < plan->keys_count; k++) {
        const struct plan_column *column = &plan->columns[plan->keys[k]];

        sqltext_add(sql, "%st.", k == 0 ? "" : " AND ");
        sqltext_name(sql, column->name);
        sqltext_add(sql, " %s s.", column->equals);
        sqltext_name(sql, column->name);
    }
}

/* Of any type, and of values that compare equal and are written differently. Without the casts two
 * rows are compared column by column, by an operator of each type. */
static void
write_same(struct buf *sql, const struct plan *plan)
{
    sqltext_add(sql, "ROW(");
    write_columns(sql, plan, "t.");
    sqltext_add(sql, ")::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(");
    write_columns(sql, plan, "s.");
    sqltext_add(sql, ")::pg_catalog.record");
}

static void
write_keep(struct buf *sql, const struct plan *plan, const char *staging)
{
    sqltext_add(sql, "CREATE TEMP TABLE walpipe_differ ON COMMIT DROP AS SELECT s.ctid AS place");
    for (uint32_t i = 0; i < plan->extras_count; i++) {
        sqltext_add(sql, ", t.");
        sqltext_name(sql, plan->extras[i].name);
        sqltext_add(sql, " AS e%u", i);
    }
    sqltext_add(sql, " FROM %s AS t JOIN walpipe.%s AS s ON ", plan->rows, staging);
    write_join(sql, plan);
    sqltext_add(sql, " WHERE NOT (");
    write_same(sql, plan);
    sqltext_add(sql, "); ");
}

static void
write_delete(struct buf *sql, const struct plan *plan, const char *staging)
{
    sqltext_add(sql, "DELETE FROM %s AS t WHERE NOT EXISTS (SELECT FROM walpipe.%s AS s WHERE ",
                plan->rows, staging);
    write_join(sql, plan);
    sqltext_add(sql, " AND ");
    write_same(sql, plan);
    sqltext_add(sql, "); ");
}

static void
write_insert(struct buf *sql, const struct plan *plan, bool extras)
{
    sqltext_add(sql, "INSERT INTO %s (", plan->target);
    write_columns(sql, plan, "");
    if (extras)
        write_extras(sql, plan);
    sqltext_add(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    write_columns(sql, plan, "s.");
}

static void
write_back(struct buf *sql, const struct plan *plan, const char *staging)
{
    write_insert(sql, plan, true);
    for (uint32_t i = 0; i < plan->extras_count; i++)
        sqltext_add(sql, ", k.e%u", i);
    sqltext_add(sql, " FROM pg_temp.walpipe_differ AS k JOIN walpipe.%s AS s ON s.ctid = k.place; ",
                staging);
}

static void
write_missing(struct buf *sql, const struct plan *plan, const char *staging)
{
    write_insert(sql, plan, false);
    sqltext_add(sql, " FROM walpipe.%s AS s WHERE NOT EXISTS (SELECT FROM %s AS t WHERE ", staging,
                plan->rows);
    write_join(sql, plan);
    sqltext_add(sql, "); DROP TABLE pg_temp.walpipe_differ");
}

/* The places of the results that count. */
enum { COUNT_DIFFERENT = 3, COUNT_DELETED, COUNT_BACK, COUNT_MISSING, COUNTS };

int
resyncsql_merge(struct session *s, const struct plan *plan, const char *staging,
                struct resyncsql_counts *counts, struct err *err)
{
    uint64_t affected[COUNTS] = {0};
    struct buf sql = {0};
    int rc;

    sqltext_add(&sql,
                "SET LOCAL row_security = off; LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE; "
                "ANALYZE walpipe.%s; ",
                plan->rows, staging);
    write_keep(&sql, plan, staging);
    write_delete(&sql, plan, staging);
    write_back(&sql, plan, staging);
    write_missing(&sql, plan, staging);
    rc = sqltext_get(&sql) == NULL
             ? err_set(err, EXIT_PEER, "out of memory for a merge")
             : copyout_script(s, "merge a resync", sqltext_get(&sql), affected, COUNTS, err);
    buf_free(&sql);
    *counts =
        (struct resyncsql_counts){.missing = affected[COUNT_MISSING],
                                  .different = affected[COUNT_DIFFERENT],
                                  .surplus = affected[COUNT_DELETED] - affected[COUNT_DIFFERENT]};
    return rc;
}
