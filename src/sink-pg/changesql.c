/* changesql.c: see changesql.h. Must not know values. */
#include "sink-pg/changesql.h"

#include "sink-pg/sqltext.h"
#include "sink-pg/valuesql.h"

struct writer {
    struct buf *sql;
    const struct plan *plan;
    struct plan_stmt *stmt;
};

/* The parameter's number. A value that occurs twice is passed once. */
static uint32_t
param(struct writer *w, uint32_t column, bool match)
{
    struct plan_stmt *s = w->stmt;

    for (uint32_t i = 0; i < s->params_count; i++)
        if (s->params[i].column == column && s->params[i].match == match)
            return i + 1;
    s->params[s->params_count] = (struct plan_param){.column = column, .match = match};
    return ++s->params_count;
}

/* If stored, the value goes into the column, otherwise it is compared with it. */
static void
write_param(struct writer *w, uint32_t column, bool match, bool stored)
{
    uint32_t n = param(w, column, match);

    valuesql_param(w->sql, &w->plan->columns[column], n, w->stmt->source_types, stored);
}

static void
write_names(struct writer *w, const char *prefix)
{
    for (uint32_t i = 0; i < w->plan->columns_count; i++) {
        sqltext_add(w->sql, "%s%s", i == 0 ? "" : ", ", prefix);
        sqltext_name(w->sql, w->plan->columns[i].name);
    }
}

static void
write_new_values(struct writer *w)
{
    for (uint32_t i = 0; i < w->plan->columns_count; i++) {
        sqltext_add(w->sql, i == 0 ? "" : ", ");
        write_param(w, i, false, true);
    }
}

/* An existing row is overwritten, because its key came back through a row filter (trap 55). */
static void
write_on_conflict(struct writer *w)
{
    if (w->plan->overwrites && w->plan->index == INDEX_ARBITER && w->plan->fires != FIRES_RULES)
        (void)valuesql_on_conflict(w->sql, w->plan);
}

static void
write_insert_into(struct writer *w)
{
    sqltext_add(w->sql, "INSERT INTO %s AS t", w->plan->target);
    if (w->plan->columns_count == 0) {
        sqltext_add(w->sql, " DEFAULT VALUES");
        return;
    }
    sqltext_add(w->sql, " (");
    write_names(w, "");
    sqltext_add(w->sql, ")%s ", plan_has_identity(w->plan) ? " OVERRIDING SYSTEM VALUE" : "");
}

static void
write_key_condition(struct writer *w, bool match)
{
    for (uint32_t k = 0; k < w->plan->keys_count; k++) {
        uint32_t column = w->plan->keys[k];

        sqltext_add(w->sql, "%st.", k == 0 ? "" : " AND ");
        sqltext_name(w->sql, w->plan->columns[column].name);
        sqltext_add(w->sql, " %s ", w->plan->columns[column].equals);
        write_param(w, column, match, false);
    }
}

/* The column has the old row's value. It is also compared as text, if equal values may be written
 * differently or if the type has no `=` (trap 54). An index needs `=`. */
static void
write_same(struct writer *w, uint32_t column)
{
    const struct plan_column *col = &w->plan->columns[column];
    bool null = col->indexed != 0 && (w->stmt->nulls >> (col->indexed - 1) & 1) != 0;

    if (col->indexed != 0 || (col->exact && col->not_null)) {
        sqltext_name(w->sql, col->name);
        if (null) {
            sqltext_add(w->sql, " IS NULL");
            return;
        }
        sqltext_add(w->sql, " %s ", col->equals);
        write_param(w, column, true, false);
        if (col->exact)
            return;
        sqltext_add(w->sql, " AND ");
    }
    sqltext_name(w->sql, col->name);
    sqltext_add(w->sql, "%s IS NOT DISTINCT FROM (",
                col->exact ? "" : "::pg_catalog.text COLLATE pg_catalog.\"C\"");
    write_param(w, column, true, false);
    sqltext_add(w->sql, ")%s", col->exact ? "" : "::pg_catalog.text");
}

/* Without a key, a row is found by its old values in every column. */
static void
write_row_condition(struct writer *w)
{
    for (uint32_t i = 0; i < w->plan->columns_count; i++) {
        sqltext_add(w->sql, "%s", i == 0 ? "" : " AND ");
        write_same(w, i);
    }
    if (w->plan->columns_count == 0)
        sqltext_add(w->sql, "true");
}

/* Writes "m AS (...), " before a statement that then joins m, which is at most one row. */
static void
write_find_row(struct writer *w)
{
    sqltext_add(w->sql, "m AS MATERIALIZED (SELECT tableoid AS o, ctid AS c FROM %s WHERE ",
                w->plan->rows);
    write_row_condition(w);
    sqltext_add(w->sql, " LIMIT 1)");
}

/* ---- columns that SET cannot name ---- */

/* A value is sent for the column, and it cannot be set. */
static bool
must_be_inserted(const struct writer *w, uint32_t column)
{
    return w->stmt->mask[column] == 0 && !plan_can_set(w->plan, column) &&
           (!w->plan->columns[column].key || w->stmt->key_changed);
}

static bool
any_must_be_inserted(const struct writer *w)
{
    for (uint32_t i = 0; i < w->plan->columns_count; i++)
        if (must_be_inserted(w, i))
            return true;
    return false;
}

/* " AND (t.a IS DISTINCT FROM $1 OR ...)", or that none is. */
static void
write_differs(struct writer *w, bool differs)
{
    const char *before = differs ? " AND (" : " AND ";

    for (uint32_t i = 0; i < w->plan->columns_count; i++) {
        if (!must_be_inserted(w, i))
            continue;
        sqltext_add(w->sql, "%st.", before);
        sqltext_name(w->sql, w->plan->columns[i].name);
        sqltext_add(w->sql, " IS %sDISTINCT FROM ", differs ? "" : "NOT ");
        write_param(w, i, false, false);
        before = differs ? " OR " : " AND ";
    }
    sqltext_add(w->sql, differs ? ")" : "");
}

static void
write_moved_values(struct writer *w)
{
    for (uint32_t i = 0; i < w->plan->columns_count; i++) {
        sqltext_add(w->sql, "%s", i == 0 ? "" : ", ");
        if (w->stmt->mask[i] == 0) {
            write_param(w, i, false, true);
            continue;
        }
        sqltext_add(w->sql, "d.");
        sqltext_name(w->sql, w->plan->columns[i].name);
    }
    for (uint32_t i = 0; i < w->plan->extras_count; i++) {
        sqltext_add(w->sql, ", d.");
        sqltext_name(w->sql, w->plan->extras[i].name);
    }
}

/* Writes "d AS (...), i AS (...)". A row whose identity columns get other values (trap 86) is taken
 * out and inserted again. It keeps the values that were not sent and those that only the target
 * has. */
static void
write_move(struct writer *w)
{
    bool by_key = w->plan->match == MATCH_KEY;

    sqltext_add(w->sql, "d AS (DELETE FROM %s AS t%s WHERE ", w->plan->rows,
                by_key ? "" : " USING m");
    if (by_key)
        write_key_condition(w, w->stmt->kind != FRAME_INSERT);
    else
        sqltext_add(w->sql, "t.ctid = m.c AND t.tableoid = m.o");
    write_differs(w, true);
    sqltext_add(w->sql, " RETURNING t.*), i AS (INSERT INTO %s (", w->plan->target);
    write_names(w, "");
    for (uint32_t i = 0; i < w->plan->extras_count; i++) {
        sqltext_add(w->sql, ", ");
        sqltext_name(w->sql, w->plan->extras[i].name);
    }
    sqltext_add(w->sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    write_moved_values(w);
    sqltext_add(w->sql, " FROM d RETURNING 1)");
}

/* ---- the three kinds of change ---- */

/* Writes "f AS (...)", the row that has the key, if an insert of the new one would change it. */
static void
write_other_row(struct writer *w)
{
    sqltext_add(w->sql, "f AS MATERIALIZED (SELECT FROM %s AS t WHERE ", w->plan->rows);
    write_key_condition(w, false);
    sqltext_add(w->sql, " AND (false");
    for (uint32_t i = 0; i < w->plan->columns_count; i++) {
        const struct plan_column *column = &w->plan->columns[i];

        if (column->key && column->exact)
            continue;
        sqltext_add(w->sql, " OR t.");
        sqltext_name(w->sql, column->name);
        sqltext_add(w->sql, "%s IS DISTINCT FROM (",
                    column->exact ? "" : "::pg_catalog.text COLLATE pg_catalog.\"C\"");
        write_param(w, i, false, false);
        sqltext_add(w->sql, ")%s", column->exact ? "" : "::pg_catalog.text");
    }
    sqltext_add(w->sql, "))");
}

/* Writes the removal of the row that must go before the insert. Returns the condition of the
 * insert. */
static const char *
write_going(struct writer *w)
{
    if (w->plan->index == INDEX_UNIQUE) {
        sqltext_add(w->sql, "gone AS (DELETE FROM %s AS t WHERE ", w->plan->rows);
        write_key_condition(w, false);
        sqltext_add(w->sql, " RETURNING 1)");
        return "(SELECT pg_catalog.count(*) FROM gone) >= 0";
    }
    write_move(w);
    return "NOT EXISTS (SELECT FROM i)";
}

/* ON CONFLICT may be unable to find the row that has the key (trap 83), or to set its values. Then
 * that row is deleted first. If that would change other rows too, the server refuses the insert. */
static void
write_insert(struct writer *w)
{
    bool over = w->plan->overwrites && w->stmt->insert != INSERT_PLAINLY;
    bool notices = over && w->stmt->insert == INSERT_AND_NOTICE;
    bool odd = w->plan->index == INDEX_UNIQUE || any_must_be_inserted(w);
    bool goes = over && odd && w->plan->fires == FIRES_NOTHING;
    const char *where = NULL;

    if (notices || goes)
        sqltext_add(w->sql, "WITH ");
    if (notices)
        write_other_row(w);
    if (notices && goes)
        sqltext_add(w->sql, ", ");
    if (goes)
        where = write_going(w);
    sqltext_add(w->sql, notices ? ", x AS (" : goes ? " " : "");
    write_insert_into(w);
    if (w->plan->columns_count > 0) {
        sqltext_add(w->sql, goes ? "SELECT " : "VALUES (");
        write_new_values(w);
        sqltext_add(w->sql, goes ? " WHERE %s" : ")", where);
        if (over && (goes || !odd))
            write_on_conflict(w);
    }
    sqltext_add(w->sql, notices ? ") SELECT FROM f" : "");
}

/* Writes "f AS (...)", which finds out whether the row is there, even if a trigger then cancels the
 * change. */
static void
write_look(struct writer *w)
{
    sqltext_add(w->sql, "f AS MATERIALIZED (SELECT FROM %s AS t WHERE ", w->plan->rows);
    write_key_condition(w, true);
    sqltext_add(w->sql, ")");
}

/* Affects the rows that were there, whatever a trigger did then. */
static void
write_delete_fires(struct writer *w)
{
    bool by_key = w->plan->match == MATCH_KEY;

    sqltext_add(w->sql, "WITH ");
    if (by_key)
        write_look(w);
    else
        write_find_row(w);
    sqltext_add(w->sql, ", x AS (DELETE FROM %s AS t%s WHERE ", w->plan->rows,
                by_key ? "" : " USING m");
    if (by_key)
        write_key_condition(w, true);
    else
        sqltext_add(w->sql, "t.ctid = m.c AND t.tableoid = m.o");
    sqltext_add(w->sql, ") SELECT FROM %s", by_key ? "f" : "m");
}

static void
write_delete(struct writer *w)
{
    if (w->plan->fires == FIRES_TRIGGERS) {
        write_delete_fires(w);
        return;
    }
    if (w->plan->match == MATCH_KEY) {
        sqltext_add(w->sql, "DELETE FROM %s AS t WHERE ", w->plan->rows);
        write_key_condition(w, true);
        return;
    }
    sqltext_add(w->sql, "WITH ");
    write_find_row(w);
    sqltext_add(w->sql, " DELETE FROM %s AS t USING m WHERE t.ctid = m.c AND t.tableoid = m.o",
                w->plan->rows);
}

/* Triggers may be for updates of the key's columns, so these are set too, as the source sends them.
 * If rules fire, the server refuses columns that cannot be set. */
static bool
is_set(const struct writer *w, uint32_t column)
{
    bool fires = w->plan->fires >= FIRES_TRIGGERS;

    if (must_be_inserted(w, column))
        return w->plan->fires == FIRES_RULES;
    return w->stmt->mask[column] == 0 && plan_can_set(w->plan, column) &&
           (!w->plan->columns[column].key || w->stmt->key_changed || fires);
}

static bool
any_is_set(const struct writer *w)
{
    for (uint32_t i = 0; i < w->plan->columns_count; i++)
        if (is_set(w, i))
            return true;
    return false;
}

static void
write_set(struct writer *w)
{
    const char *before = " SET ";

    sqltext_add(w->sql, "UPDATE %s AS t", w->plan->rows);
    for (uint32_t i = 0; i < w->plan->columns_count; i++) {
        if (!is_set(w, i))
            continue;
        sqltext_add(w->sql, "%s", before);
        sqltext_name(w->sql, w->plan->columns[i].name);
        sqltext_add(w->sql, " = ");
        write_param(w, i, false, true);
        before = ", ";
    }
}

/* Updates the row, or only looks at it if none of its columns can be set. */
static void
write_update_in_place(struct writer *w)
{
    bool by_key = w->plan->match == MATCH_KEY, sets = any_is_set(w);

    if (sets)
        write_set(w);
    else
        sqltext_add(w->sql, "SELECT FROM %s AS t", w->plan->rows);
    if (by_key) {
        sqltext_add(w->sql, " WHERE ");
        write_key_condition(w, true);
    } else {
        sqltext_add(w->sql, "%s WHERE t.ctid = m.c AND t.tableoid = m.o", sets ? " FROM m" : ", m");
    }
    write_differs(w, false);
}

/* An error when the row was not updated. */
static void
write_must_exist(struct writer *w, bool moves)
{
    sqltext_add(w->sql, " SELECT 1 / pg_catalog.count(*) FROM (SELECT FROM u%s) AS x",
                moves ? " UNION ALL SELECT FROM i" : "");
}

/* Affects the rows that were updated. */
static void
write_met(struct writer *w, bool moves)
{
    sqltext_add(w->sql, " SELECT FROM u%s", moves ? " UNION ALL SELECT FROM i" : "");
}

/* Affects the rows that are there. It is an error if one would have to be deleted for a moment. */
static void
write_must_stay(struct writer *w)
{
    bool by_key = w->plan->match == MATCH_KEY;

    sqltext_add(w->sql, " SELECT 1 / (true");
    write_differs(w, false);
    sqltext_add(w->sql, ")::pg_catalog.int4 FROM %s AS t%s WHERE ", w->plan->rows,
                by_key ? "" : ", m");
    if (by_key)
        write_key_condition(w, true);
    else
        sqltext_add(w->sql, "t.ctid = m.c AND t.tableoid = m.o");
}

static void
write_insert_missing(struct writer *w, bool moves)
{
    w->stmt->upserts = true;
    sqltext_add(w->sql, " ");
    write_insert_into(w);
    sqltext_add(w->sql, "SELECT ");
    write_new_values(w);
    sqltext_add(w->sql, " WHERE NOT EXISTS (SELECT FROM u)%s",
                moves ? " AND NOT EXISTS (SELECT FROM i)" : "");
    if (!moves)
        write_on_conflict(w);
}

static void
write_update(struct writer *w)
{
    bool moves = any_must_be_inserted(w), stays = moves && w->plan->fires != FIRES_NOTHING;

    sqltext_add(w->sql, "WITH ");
    if (w->plan->match == MATCH_ROW) {
        write_find_row(w);
        sqltext_add(w->sql, ", ");
    } else if (w->plan->fires == FIRES_TRIGGERS && !stays) {
        write_look(w);
        sqltext_add(w->sql, ", ");
    }
    if (moves && !stays) {
        write_move(w);
        sqltext_add(w->sql, ", ");
    }
    sqltext_add(w->sql, "u AS (");
    write_update_in_place(w);
    sqltext_add(w->sql, any_is_set(w) ? " RETURNING 1)" : ")");
    if (stays)
        write_must_stay(w);
    else if (w->plan->fires == FIRES_TRIGGERS)
        sqltext_add(w->sql, " SELECT FROM %s", w->plan->match == MATCH_KEY ? "f" : "m");
    else if (w->stmt->copied)
        write_met(w, moves);
    else if (w->stmt->partial)
        write_must_exist(w, moves);
    else
        write_insert_missing(w, moves);
}

/* ---- with rules that fire, neither WITH nor ON CONFLICT is possible ---- */

static void
write_plain_condition(struct writer *w)
{
    if (w->plan->match == MATCH_KEY) {
        write_key_condition(w, true);
        return;
    }
    sqltext_add(w->sql, "(t.tableoid, t.ctid) = (SELECT tableoid, ctid FROM %s WHERE ",
                w->plan->rows);
    write_row_condition(w);
    sqltext_add(w->sql, " LIMIT 1)");
}

static void
write_plain(struct writer *w)
{
    if (w->stmt->kind == FRAME_DELETE)
        sqltext_add(w->sql, "DELETE FROM %s AS t", w->plan->rows);
    else
        write_set(w);
    sqltext_add(w->sql, " WHERE ");
    write_plain_condition(w);
}

void
changesql_write(struct buf *sql, const struct plan *plan, struct plan_stmt *stmt)
{
    struct writer w = {.sql = sql, .plan = plan, .stmt = stmt};

    stmt->params_count = 0;
    if (stmt->kind == FRAME_INSERT)
        write_insert(&w);
    else if (plan->fires == FIRES_RULES)
        write_plain(&w);
    else if (stmt->kind == FRAME_DELETE)
        write_delete(&w);
    else
        write_update(&w);
}
