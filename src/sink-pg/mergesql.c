/* mergesql.c: see mergesql.h. */
#include "sink-pg/mergesql.h"

#include <stdio.h>
#include <string.h>

#include "sink-pg/sqltext.h"
#include "sink-pg/valuesql.h"

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
write_source(struct buf *sql, const struct plan *plan, uint32_t column, bool stored)
{
    char name[16];

    snprintf(name, sizeof name, "s.c%u", column);
    valuesql_temp(sql, &plan->columns[column], name, stored);
}

static void
write_join(struct buf *sql, const struct plan *plan)
{
    for (uint32_t k = 0; k < plan->keys_count; k++) {
        uint32_t column = plan->keys[k];

        sqltext_add(sql, " AND t.");
        sqltext_name(sql, plan->columns[column].name);
        sqltext_add(sql, " %s ", plan->columns[column].equals);
        write_source(sql, plan, column, false);
    }
}

void
mergesql_copy_into_target(struct buf *sql, const struct plan *plan, enum copy_format format)
{
    sqltext_add(sql, "COPY %s (", plan->target);
    write_columns(sql, plan, "");
    sqltext_add(sql, ") FROM STDIN%s", format == COPY_BINARY ? " BINARY" : "");
}

void
mergesql_fill_temp(struct buf *sql, struct session *s, struct plan *plan, enum copy_format format)
{
    if (plan->temp_name[0] == '\0')
        snprintf(plan->temp_name, sizeof plan->temp_name, "pg_temp.walpipe_%llu",
                 (unsigned long long)++s->names);
    sqltext_add(sql, "CREATE TEMP TABLE IF NOT EXISTS %s (op \"char\", mask int4",
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

void
mergesql_update(struct buf *sql, const struct plan *plan, uint32_t number, const uint8_t *mask)
{
    const char *before = " SET ";

    sqltext_add(sql, "UPDATE %s AS t", plan->rows);
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        if (plan->columns[i].key || mask[i] != 0 || !plan_can_set(plan, i))
            continue;
        sqltext_add(sql, "%s", before);
        sqltext_name(sql, plan->columns[i].name);
        sqltext_add(sql, " = ");
        write_source(sql, plan, i, true);
        before = ", ";
    }
    sqltext_add(sql, " FROM %s AS s WHERE s.op = 'U' AND s.mask = %u", plan->temp_name, number);
    write_join(sql, plan);
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (!plan->columns[i].key && mask[i] == 0 && !plan_can_set(plan, i)) {
            sqltext_add(sql, " AND t.");
            sqltext_name(sql, plan->columns[i].name);
            sqltext_add(sql, " = s.c%u", i);
        }
    sqltext_add(sql, "; ");
}

/* A column that cannot be set must have the same value already, otherwise the row stays
 * unchanged. */
static void
write_on_conflict(struct buf *sql, const struct plan *plan)
{
    const char *before = " WHERE ";

    if (!valuesql_on_conflict(sql, plan))
        return;
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        if (plan->columns[i].key || plan_can_set(plan, i))
            continue;
        sqltext_add(sql, "%st.", before);
        sqltext_name(sql, plan->columns[i].name);
        sqltext_add(sql, " = EXCLUDED.");
        sqltext_name(sql, plan->columns[i].name);
        before = " AND ";
    }
}

void
mergesql_upsert(struct buf *sql, const struct plan *plan, bool over)
{
    sqltext_add(sql, "INSERT INTO %s AS t (", plan->target);
    write_columns(sql, plan, "");
    sqltext_add(sql, ")%s SELECT ", plan_has_identity(plan) ? " OVERRIDING SYSTEM VALUE" : "");
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        sqltext_add(sql, i == 0 ? "" : ", ");
        write_source(sql, plan, i, true);
    }
    sqltext_add(sql, " FROM %s AS s WHERE s.op IN ('I', 'R', 'E')", plan->temp_name);
    if (over)
        write_on_conflict(sql, plan);
    sqltext_add(sql, "; ");
}

void
mergesql_other_rows(struct buf *sql, const struct plan *plan)
{
    sqltext_add(sql, "SELECT FROM %s AS t JOIN %s AS s ON s.op IN ('I', 'E')", plan->rows,
                plan->temp_name);
    write_join(sql, plan);
    sqltext_add(sql, " WHERE false");
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        const struct plan_column *column = &plan->columns[i];

        if (column->key && column->exact)
            continue;
        sqltext_add(sql, " OR t.");
        sqltext_name(sql, column->name);
        sqltext_add(sql, "%s IS DISTINCT FROM (",
                    column->exact ? "" : "::pg_catalog.text COLLATE pg_catalog.\"C\"");
        write_source(sql, plan, i, false);
        sqltext_add(sql, ")%s", column->exact ? "" : "::pg_catalog.text");
    }
    sqltext_add(sql, "; ");
}

void
mergesql_delete(struct buf *sql, const struct plan *plan)
{
    sqltext_add(sql, "DELETE FROM %s AS t USING %s AS s WHERE s.op IN ('D', 'R', 'E')", plan->rows,
                plan->temp_name);
    write_join(sql, plan);
    sqltext_add(sql, "; ");
}
