/* wholes.c: see wholes.h. */
#include "sink-pg/wholes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "sink-pg/owntables.h"

/* $1 and $2 are schema and name of one target table, or NULL for all. $3 tells whether the
 * session's role in replication is replica. $4 and $5 are, for one table, the columns that decide a
 * row's worker, and their types in the source. For all tables the primary key is used instead, and
 * the workers find the tables for which it is wrong. */
static const char query[] =
    "SELECT n.nspname, c.relname, gn.nspname, g.relname, g.relkind = 'p', CASE "
    "WHEN g.relkind = 'p' THEN pg_catalog.format('it is the partitioned table %I or a part of it', "
    "g.relname) "
    "WHEN i.bad IS NOT NULL THEN pg_catalog.format('index %I holds its rows together', i.bad) "
    "WHEN a.bad IS NOT NULL THEN pg_catalog.format('equal values of column %I may have different "
    "texts', a.bad) "
    "WHEN t.bad IS NOT NULL THEN pg_catalog.format('trigger %I fires', t.bad) "
    "WHEN r.bad IS NOT NULL THEN pg_catalog.format('rule %I applies', r.bad) "
    "WHEN c.relkind = 'f' THEN 'it is a foreign table' END, "
    "CASE WHEN NOT $3::boolean AND EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = "
    "'f') "
    "THEN 'the role may not set session_replication_role, and there are foreign keys' "
    "WHEN c.relkind = 'v' THEN pg_catalog.format('%I is a view: other tables may write to what is "
    "behind it', c.relname) END "
    "FROM pg_catalog.pg_class AS c "
    "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
    "JOIN pg_catalog.pg_class AS g ON g.oid = "
    "coalesce(pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid, c.oid) "
    "JOIN pg_catalog.pg_namespace AS gn ON gn.oid = g.relnamespace "
    "CROSS JOIN LATERAL (SELECT coalesce($4::pg_catalog.text[], (SELECT pg_catalog.array_agg("
    "k.attname::pg_catalog.text) FROM pg_catalog.pg_index AS p JOIN pg_catalog.pg_attribute AS k "
    "ON k.attrelid = c.oid AND k.attnum = ANY ((p.indkey::pg_catalog.int2[])[0:p.indnkeyatts - 1]) "
    "WHERE p.indrelid = c.oid AND p.indisprimary)) AS columns) AS key "
    "LEFT JOIN LATERAL (SELECT ic.relname AS bad FROM pg_catalog.pg_index AS x "
    "JOIN pg_catalog.pg_class AS ic ON ic.oid = x.indexrelid "
    "CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.array_agg(k.attname::pg_catalog.text), '{}') "
    "AS columns FROM pg_catalog.pg_attribute AS k WHERE k.attrelid = c.oid AND k.attnum = ANY ("
    /* of WITHOUT OVERLAPS the last column, of another exclusion constraint none is compared by = */
    "(x.indkey::pg_catalog.int2[])[0:x.indnkeyatts - CASE WHEN NOT x.indisexclusion THEN 1 "
    "WHEN x.indisunique THEN 2 ELSE x.indnkeyatts + 1 END])) AS equal "
    "WHERE x.indrelid = c.oid AND (x.indisunique OR x.indisexclusion) AND CASE "
    "WHEN key.columns IS NULL THEN (SELECT pg_catalog.count(*) > 1 FROM pg_catalog.pg_index AS o "
    "WHERE o.indrelid = c.oid AND (o.indisunique OR o.indisexclusion)) "
    "ELSE NOT key.columns <@ equal.columns END ORDER BY ic.relname LIMIT 1) AS i ON true "
    "LEFT JOIN LATERAL (SELECT k.attname AS bad FROM pg_catalog.pg_attribute AS k "
    "JOIN pg_catalog.pg_type AS y ON y.oid = k.atttypid "
    "LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = k.attcollation "
    "CROSS JOIN LATERAL (SELECT CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END AS "
    "base, ($5::pg_catalog.int8[])[pg_catalog.array_position(key.columns, "
    "k.attname::pg_catalog.text)] AS source) AS o "
    "WHERE k.attrelid = c.oid AND k.attname = ANY (key.columns) AND NOT k.attisdropped AND "
    "(NOT coalesce(l.collisdeterministic, true) OR NOT coalesce(o.source = o.base::pg_catalog.int8 "
    "OR o.base IN (25, 1043) OR (o.source IN (20, 21, 23, 26) AND o.base IN (20, 21, 23, 26, "
    "1700)), true)) ORDER BY k.attnum LIMIT 1) AS a ON true "
    "LEFT JOIN LATERAL (SELECT tgname AS bad FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND "
    "NOT tgisinternal AND tgenabled IN ('A', CASE WHEN $3::boolean THEN 'R' ELSE 'O' END) "
    "ORDER BY tgname LIMIT 1) AS t ON true "
    "LEFT JOIN LATERAL (SELECT rulename AS bad FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid "
    "AND ev_type <> '1' AND ev_enabled IN ('A', CASE WHEN $3::boolean THEN 'R' ELSE 'O' END) "
    "ORDER BY rulename LIMIT 1) AS r ON true "
    "WHERE CASE WHEN $1::pg_catalog.text IS NULL THEN c.relkind IN ('r', 'p') AND n.nspname NOT IN "
    "('pg_catalog', 'information_schema', 'walpipe', 'pg_toast') AND c.relpersistence <> 't' "
    "ELSE n.nspname = $1::pg_catalog.text AND c.relname = $2::pg_catalog.text AND c.relkind IN "
    "('r', 'p', 'f', 'v') END ORDER BY 1, 2";

/* Q_ALL is the reason why all tables must go together. */
enum { Q_SCHEMA, Q_TABLE, Q_GROUP_SCHEMA, Q_GROUP, Q_TREE, Q_REASON, Q_ALL };

static PGresult *
ask_catalog(struct session *s, const char *const *one, const char *columns, const char *types,
            struct err *err)
{
    static const char what[] = "ask which tables must not be split";
    const char *params[] = {one == NULL ? NULL : one[0], one == NULL ? NULL : one[1],
                            s->replica ? "t" : "f", columns, types};

    return pqx_shaped(pqx_exec_params(s->conn, what, query, 5, params, err), what, 0, PQX_ROWS,
                      "vvvvv??", err);
}

static bool
is_true(const PGresult *r, int row, int field)
{
    return PQgetvalue(r, row, field)[0] == 't';
}

/* ---- the list ---- */

struct printing {
    struct layout seen;
    const struct tablemap *map;
    FILE *out;
};

static int
print_entry(struct printing *p, const char *line, const char *reason, struct err *err)
{
    if (layout_add_whole(&p->seen, line, err) != 0)
        return -1;
    fprintf(p->out, "# %s: %s\n%s\n", line, reason, line);
    return 0;
}

/* The first line of a table counts. */
static int
print_table(struct printing *p, const char *schema, const char *table, const char *group_schema,
            const char *group, const char *reason, struct err *err)
{
    struct layout_text source, target;
    char line[2 * sizeof source.text + 8];

    if (layout_group(&p->seen, schema, table) != NULL)
        return 0;
    source = layout_show(schema, table);
    target = layout_show(group_schema, group);
    snprintf(line, sizeof line, "%s -> %s", source.text, target.text);
    return print_entry(p, line, reason, err);
}

/* The source tables that go to a target table. They are those that are mapped to it, and the one of
 * its own name unless that goes elsewhere. */
static int
print_sources(struct printing *p, const PGresult *r, int row, const char *reason, bool mapped_only,
              struct err *err)
{
    const char *schema = PQgetvalue(r, row, Q_SCHEMA), *table = PQgetvalue(r, row, Q_TABLE);
    const char *group_schema = PQgetvalue(r, row, Q_GROUP_SCHEMA);
    const char *group = PQgetvalue(r, row, Q_GROUP);

    for (size_t i = 0; i < p->map->count; i++) {
        const struct table_mapping *m = &p->map->entries[i];

        if (strcmp(m->to_schema, schema) == 0 && strcmp(m->to_table, table) == 0 &&
            print_table(p, m->schema, m->table, group_schema, group, reason, err) != 0)
            return -1;
    }
    if (mapped_only || tablemap_find(p->map, schema, table) != NULL)
        return 0;
    return print_table(p, schema, table, group_schema, group, reason, err);
}

/* Whether several source tables are mapped to the target. */
static bool
is_shared(const struct printing *p, const char *schema, const char *table)
{
    size_t count = 0;

    for (size_t i = 0; i < p->map->count; i++)
        count += strcmp(p->map->entries[i].to_schema, schema) == 0 &&
                 strcmp(p->map->entries[i].to_table, table) == 0;
    return count > 1;
}

static int
print_catalog(struct printing *p, const PGresult *r, struct err *err)
{
    for (int i = 0; i < PQntuples(r); i++) {
        bool shared = is_shared(p, PQgetvalue(r, i, Q_SCHEMA), PQgetvalue(r, i, Q_TABLE));
        int rc = 0;

        if (!PQgetisnull(r, i, Q_REASON))
            rc = print_sources(p, r, i, PQgetvalue(r, i, Q_REASON), false, err);
        else if (shared)
            rc = print_sources(p, r, i, "several source tables go to one target table", true, err);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static int
print_noted(struct printing *p, const PGresult *r, struct err *err)
{
    for (int i = 0; i < PQntuples(r); i++) {
        struct layout one = {0};
        bool known;

        if (layout_add_whole(&one, PQgetvalue(r, i, 0), err) != 0)
            return -1;
        known = one.count == 1 && layout_has(&p->seen, one.entries[0].table);
        layout_free(&one);
        if (!known && print_entry(p, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), err) != 0)
            return -1;
    }
    return 0;
}

static PGresult *
ask_noted(const struct wholes *w, struct session *s, struct err *err)
{
    static const char what[] = "read walpipe.whole";
    const char *params[] = {w->pipeline, w->sink};
    bool there;

    if (owntables_exist(s, "whole", &there, err) != 0)
        return NULL;
    return pqx_shaped(
        pqx_exec_params(s->conn, what,
                        there ? "SELECT CASE WHEN source = '*' THEN '*' ELSE source || ' -> ' || "
                                "target END, reason FROM walpipe.whole WHERE pipeline = $1 AND "
                                "sink = $2 ORDER BY source"
                              : "SELECT '', '' WHERE $1::pg_catalog.text IS NULL AND "
                                "$2::pg_catalog.text IS NULL",
                        2, params, err),
        what, 0, PQX_ROWS, "vv", err);
}

int
wholes_print(const struct wholes *w, struct session *s, const struct tablemap *map, FILE *out,
             struct err *err)
{
    struct printing p = {.map = map, .out = out};
    PGresult *catalog = ask_catalog(s, NULL, NULL, NULL, err);
    PGresult *noted = catalog == NULL ? NULL : ask_noted(w, s, err);
    int rc = noted == NULL ? -1 : 0;

    if (rc == 0 && PQntuples(catalog) > 0 && !PQgetisnull(catalog, 0, Q_ALL))
        rc = print_entry(&p, "*", PQgetvalue(catalog, 0, Q_ALL), err);
    if (rc == 0 && print_catalog(&p, catalog, err) == 0)
        rc = print_noted(&p, noted, err);
    else
        rc = -1;
    PQclear(catalog);
    PQclear(noted);
    layout_free(&p.seen);
    if (rc == 0 && fflush(out) != 0)
        return err_set(err, EXIT_PEER, "could not write the layout");
    return rc;
}

/* ---- a worker's own look ---- */

/* An array's text of the columns that decide a row's worker, and of their types. */
struct deciding {
    struct buf names;
    struct buf types;
    uint32_t count;
};

static void
add_deciding(struct deciding *d, const struct relation_column *column)
{
    char oid[16];

    buf_append(&d->names, d->count == 0 ? "{\"" : ",\"", 2);
    for (const char *c = column->name; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            buf_append(&d->names, "\\", 1);
        buf_append(&d->names, c, 1);
    }
    buf_append(&d->names, "\"", 1);
    snprintf(oid, sizeof oid, "%s%u", d->count == 0 ? "{" : ",", column->type_oid);
    buf_append(&d->types, oid, strlen(oid));
    d->count++;
}

static int
find_deciding(const struct placement *place, const struct relation *relation, struct deciding *d,
              struct err *err)
{
    bool keyless = relation->replica_identity == 'f' || relation->replica_identity == 'n';

    for (uint32_t i = 0; i < relation->columns_count && !place->fixed; i++) {
        const struct relation_column *column = &relation->columns[i];

        if (place->by_column ? i == place->column
                             : !keyless && column->key && hash_type_is_canonical(column->type_oid))
            add_deciding(d, column);
    }
    buf_append(&d->names, d->count == 0 ? "{}" : "}", d->count == 0 ? 3 : 2);
    buf_append(&d->types, d->count == 0 ? "{}" : "}", d->count == 0 ? 3 : 2);
    return d->names.failed || d->types.failed ? err_set(err, EXIT_PEER, "out of memory for a table")
                                              : 0;
}

/* NULL if the table is where it must be. *source is "*" if all tables must go together. */
static const char *
why_unplaced(const struct wholes *w, const struct table *table, const PGresult *r, bool split,
             const char *group, const char **source)
{
    const struct relation *relation = &table->relation;
    const char *now = layout_group(w->layout, relation->schema, relation->name);
    bool met = is_true(r, 0, Q_TREE) || table->shared;

    if (w->layout->all_whole)
        return NULL;
    if (!PQgetisnull(r, 0, Q_ALL)) {
        *source = "*";
        return PQgetvalue(r, 0, Q_ALL);
    }
    if (met && (now == NULL || strcmp(now, group) != 0))
        return PQgetisnull(r, 0, Q_REASON) ? "several source tables go to one target table"
                                           : PQgetvalue(r, 0, Q_REASON);
    return split && !PQgetisnull(r, 0, Q_REASON) ? PQgetvalue(r, 0, Q_REASON) : NULL;
}

/* Notes it in a transaction of its own, because the open one is not kept. */
static int
note(const struct wholes *w, struct session *s, const char *source, const char *group,
     const char *reason, struct err *err)
{
    static const char what[] = "insert into walpipe.whole";
    const char *params[] = {w->pipeline, w->sink, source, group, reason};
    PGresult *r;

    session_rollback(s);
    if (s->conn == NULL)
        return err_set(err, EXIT_PEER, "the connection to the target is lost");
    r = pqx_exec_params(s->conn, what,
                        "INSERT INTO walpipe.whole (pipeline, sink, source, target, reason) VALUES "
                        "($1, $2, $3, $4, $5) ON CONFLICT (pipeline, sink, source) DO UPDATE SET "
                        "target = EXCLUDED.target, reason = EXCLUDED.reason, noted_at = "
                        "pg_catalog.now()",
                        5, params, err);
    PQclear(r);
    return r == NULL ? -1 : 0;
}

static int
compare(const struct wholes *w, struct session *s, const struct table *table, const PGresult *r,
        bool split, bool *unplaced, struct err *err)
{
    const struct relation *relation = &table->relation;
    struct layout_text group =
        layout_show(PQgetvalue(r, 0, Q_GROUP_SCHEMA), PQgetvalue(r, 0, Q_GROUP));
    struct layout_text shown = layout_show(relation->schema, relation->name);
    const char *source = shown.text, *reason;
    char kept[400];

    reason = why_unplaced(w, table, r, split, group.text, &source);
    if (reason == NULL)
        return 0;
    snprintf(kept, sizeof kept, "%s", reason);
    if (note(w, s, source, group.text, kept, err) != 0)
        return -1;
    *unplaced = true;
    err_set(err, EXIT_PEER, "table %s must go to one worker as a whole: %s", table->label, kept);
    return err_hint(err, "nothing to do: the table is noted in walpipe.whole, and after the "
                         "restart all its rows go to one worker");
}

/* The catalog's answer about one target table, or NULL with err. *split is set if the layout would
 * give its rows to several workers. */
static PGresult *
look(const struct layout *layout, struct session *s, const struct relation *relation,
     const char *const target[2], bool *split, struct err *err)
{
    struct deciding deciding = {0};
    struct placement place;
    PGresult *r = NULL;

    if (layout_place(layout, relation, &place, err) == 0 &&
        find_deciding(&place, relation, &deciding, err) == 0)
        r = ask_catalog(s, target, (const char *)deciding.names.data,
                        (const char *)deciding.types.data, err);
    *split = deciding.count > 0;
    buf_free(&deciding.names);
    buf_free(&deciding.types);
    return r;
}

int
wholes_check(const struct wholes *w, struct session *s, const struct table *table, bool *unplaced,
             struct err *err)
{
    const char *const target[2] = {table->schema, table->name};
    bool split;
    PGresult *r = look(w->layout, s, &table->relation, target, &split, err);
    int rc = r == NULL ? -1 : 0;

    if (rc == 0 && PQntuples(r) == 1)
        rc = compare(w, s, table, r, split, unplaced, err);
    PQclear(r);
    return rc;
}

int
wholes_reason(const struct layout *layout, struct session *s, const struct relation *relation,
              const char *const target[2], char out[400], struct err *err)
{
    bool split;
    PGresult *r = look(layout, s, relation, target, &split, err);

    out[0] = '\0';
    if (r == NULL)
        return -1;
    if (PQntuples(r) == 1 && !PQgetisnull(r, 0, Q_ALL))
        snprintf(out, 400, "%s", PQgetvalue(r, 0, Q_ALL));
    else if (PQntuples(r) == 1 && !PQgetisnull(r, 0, Q_REASON) && (split || is_true(r, 0, Q_TREE)))
        snprintf(out, 400, "%s", PQgetvalue(r, 0, Q_REASON));
    PQclear(r);
    return 0;
}
