/* valuesql.c: see valuesql.h. A value to store is cast to the base type of a domain, without
 * typmod. The assignment that follows refuses a text that is too long, which a cast to the domain
 * would cut off. A value to compare gets the scale of the column's values. */
#include "sink-pg/valuesql.h"

#include <stdio.h>

#include "lib/pgtype.h"
#include "sink-pg/sqltext.h"

#define EXPRESSION_SIZE 128

Oid
valuesql_param_type(const struct plan_column *column, bool binary)
{
    if (binary && column->rule.binary == BINARY_BY_TEXT)
        return column->rule.source_oid;
    return column->rule.verified ? PG_TEXT : column->type_oid;
}

/* NULL, or the value that the target makes of the text, or an error that it is another one. Numbers
 * are compared as such, so 1.5 is 1.50. */
static void
write_verified(struct buf *sql, const struct plan_column *column, const char *text)
{
    const char *type = column->full_type;

    sqltext_add(sql, "CASE WHEN %s IS NULL THEN NULL WHEN ", text);
    if (column->numeric)
        sqltext_add(sql, "(%s)::pg_catalog.numeric = (%s)::%s::pg_catalog.numeric", text, text,
                    type);
    else
        sqltext_add(sql, "pg_catalog.format('%%s', (%s)::%s) = (%s) COLLATE pg_catalog.\"C\"", text,
                    type, text);
    sqltext_add(sql,
                " THEN (%s)::%s ELSE pg_catalog.format('%%s', pg_catalog.format('" VALUESQL_LOST
                "%d: %%s', (%s)::%s)::pg_catalog.int4)::%s END",
                text, type, column->number, text, type, type);
}

static void
write_text(struct buf *sql, const struct plan_column *column, const char *text, bool stored)
{
    if (stored && column->rule.verified)
        write_verified(sql, column, text);
    else
        sqltext_add(sql, "(%s)::%s", text, stored ? column->base_type : column->full_type);
}

/* The text that the type's output function gives, which a cast to text does not always do. */
void
valuesql_param(struct buf *sql, const struct plan_column *column, uint32_t n, bool binary,
               bool stored)
{
    char text[EXPRESSION_SIZE];

    if (binary && column->rule.binary == BINARY_BY_TEXT)
        snprintf(text, sizeof text,
                 "CASE WHEN pg_catalog.num_nulls($%u) = 0 THEN pg_catalog.format('%%s', $%u) END",
                 n, n);
    else
        snprintf(text, sizeof text, "$%u", n);
    if (text[0] == '$' && !column->rule.verified && !stored && column->rule.cut > 0)
        sqltext_add(
            sql, "CASE WHEN pg_catalog.length(pg_catalog.rtrim(%s)) <= %d THEN %s::%s ELSE %s END",
            text, column->rule.cut, text, column->full_type, text);
    else if (text[0] == '$' && !column->rule.verified)
        sqltext_add(sql, "%s", text);
    else
        write_text(sql, column, text, stored);
}

static bool
is_text_there(const struct plan_column *column)
{
    return column->domain || column->rule.verified;
}

void
valuesql_temp(struct buf *sql, const struct plan_column *column, const char *name, bool stored)
{
    if (is_text_there(column))
        write_text(sql, column, name, stored);
    else
        sqltext_add(sql, "%s", name);
}

void
valuesql_key(struct buf *sql, const struct plan *plan)
{
    for (uint32_t k = 0; k < plan->keys_count; k++) {
        sqltext_add(sql, k == 0 ? "" : ", ");
        sqltext_name(sql, plan->columns[plan->keys[k]].name);
    }
}

bool
valuesql_on_conflict(struct buf *sql, const struct plan *plan)
{
    bool any = false;

    sqltext_add(sql, " ON CONFLICT (");
    valuesql_key(sql, plan);
    sqltext_add(sql, ")");
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        if (!plan_overwrites(plan, i))
            continue;
        sqltext_add(sql, any ? ", " : " DO UPDATE SET ");
        sqltext_name(sql, plan->columns[i].name);
        sqltext_add(sql, " = EXCLUDED.");
        sqltext_name(sql, plan->columns[i].name);
        any = true;
    }
    if (!any)
        sqltext_add(sql, " DO NOTHING");
    return any;
}
