/* catalog.c: see catalog.h. Every query uses parameters. */
#include "sink-pg/catalog.h"

#include <stdlib.h>
#include <string.h>

/* The table's schema and name give its oid and relkind. Its oid gives its columns (COL_...), and
 * the indexes that tell its rows apart or find them (INDEX_...). */
enum query { QUERY_TABLE, QUERY_COLUMNS, QUERY_INDEXES };

enum {
    TABLE_OID,
    TABLE_KIND,
    TABLE_ROW_TRIGGERS,
    TABLE_STATEMENT_TRIGGERS,
    TABLE_RULES,
    TABLE_CASCADES,
    TABLE_UPDATE_RULES,
    TABLE_SWALLOWED,
    TABLE_TREE
};
enum {
    COL_NUMBER,
    COL_NAME,
    COL_TYPE_OID,
    COL_NOT_NULL,
    COL_IDENTITY,
    COL_GENERATED,
    COL_REQUIRED,
    COL_TEMP_TYPE,
    COL_TYPE,
    COL_TYPE_KIND,
    COL_EQUALS,
    COL_BASE_TYPE_OID,
    COL_BASE_TYPMOD,
    COL_BASE_KIND,
    COL_BASE_NAME,
    COL_BASE_TYPE,
    COL_FULL_TYPE,
    COL_PARTS,
    COL_PART_OID,
    COL_PART_KIND,
    COL_BYTE_ORDER
};
enum {
    INDEX_COLUMNS,
    INDEX_PRIMARY,
    INDEX_IMMEDIATE,
    INDEX_EXCLUSION,
    INDEX_IS_UNIQUE,
    INDEX_SEARCHES
};

/* The session decides which triggers and rules fire, through ALTER TABLE's ENABLE [ REPLICA |
 * ALWAYS ] TRIGGER and RULE. A partition's copy of its root's trigger is internal in older
 * versions, but belongs to no constraint. A view passes its rows on to the relations of its query,
 * which may be a view or have partitions and children. */
static const char table_query[] =
    "WITH RECURSIVE t AS (SELECT c.oid, c.relkind FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 "
    "AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v')), "
    "named(oid) AS (SELECT t.oid FROM t UNION SELECT d.refobjid FROM named "
    "JOIN pg_catalog.pg_rewrite r ON r.ev_class = named.oid AND r.ev_type = '1' "
    "JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
    "AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass), "
    "tree(oid) AS (SELECT named.oid FROM named UNION SELECT i.inhrelid FROM tree "
    "JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid, t WHERE t.relkind IN ('p', 'v')), "
    "s(replica) AS (SELECT pg_catalog.current_setting('session_replication_role') = 'replica'), "
    "every AS (SELECT DISTINCT g.tgrelid = t.oid AS own, g.tgtype & 1 = 1 AS by_row, g.tgname, "
    "g.tgtype & 64 = 64 AS instead, g.tgenabled = 'A' OR g.tgenabled = CASE WHEN s.replica "
    "THEN 'R' ELSE 'O' END AS fires "
    "FROM pg_catalog.pg_trigger g JOIN tree ON g.tgrelid = tree.oid, s, t "
    "WHERE (NOT g.tgisinternal OR g.tgconstraint = 0)), "
    "g AS (SELECT * FROM every WHERE fires) "
    "SELECT t.oid, t.relkind, "
    "(SELECT pg_catalog.string_agg(DISTINCT g.tgname::pg_catalog.text, ', ') FROM g WHERE by_row), "
    "(SELECT pg_catalog.string_agg(DISTINCT g.tgname::pg_catalog.text, ', ') FROM g "
    "WHERE own AND NOT by_row), "
    "(SELECT pg_catalog.string_agg(r.rulename::pg_catalog.text, ', ') FROM pg_catalog.pg_rewrite r "
    "WHERE r.ev_class = t.oid AND r.ev_type <> '1' "
    "AND (r.ev_enabled = 'A' OR r.ev_enabled = CASE WHEN s.replica THEN 'R' ELSE 'O' END)), "
    "NOT s.replica AND EXISTS (SELECT FROM pg_catalog.pg_constraint f JOIN tree "
    "ON f.confrelid = tree.oid WHERE f.contype = 'f' AND (f.confdeltype IN ('c', 'n', 'd') "
    "OR f.confupdtype IN ('c', 'n', 'd'))), EXISTS (SELECT FROM pg_catalog.pg_rewrite r "
    "WHERE r.ev_class = t.oid AND r.ev_type = '2'), "
    "(SELECT pg_catalog.string_agg(DISTINCT tgname::pg_catalog.text, ', ') FROM every "
    "WHERE instead AND NOT fires), "
    "coalesce(pg_catalog.pg_partition_root(t.oid)::pg_catalog.oid, t.oid) FROM t, s";

/* A temporary table gets a domain's base type as text, because a NULL that only fills a place must
 * not meet NOT NULL. */
/* The operators of an extension's type are not in pg_catalog, and search_path is empty. So `=`
 * would be the operator of another type. */
static const char columns_query[] =
    "SELECT a.attnum, a.attname, a.atttypid, a.attnotnull, a.attidentity, a.attgenerated, "
    /* Rows that are inserted through the root get its defaults, not those of their partition. */
    "(a.attnotnull OR base.not_null OR a.attname = ANY (ARRAY(SELECT DISTINCT l.attname "
    "FROM pg_catalog.pg_partition_tree($1::oid) p JOIN pg_catalog.pg_attribute l "
    "ON l.attrelid = p.relid WHERE l.attnotnull AND l.attnum > 0))) AND NOT a.atthasdef "
    "AND a.attidentity = '' AND t.typdefault IS NULL, CASE WHEN t.typtype = 'd' THEN 'text' "
    "ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END, "
    "pg_catalog.format_type(a.atttypid, -1), t.typtype, "
    "(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname) "
    "FROM pg_catalog.pg_opclass c "
    "JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree' "
    "JOIN pg_catalog.pg_amop p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3 "
    "AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype "
    "JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr "
    "JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace "
    "WHERE c.opcdefault AND n.nspname <> 'pg_catalog' AND c.opcintype = b.oid LIMIT 1), "
    "b.oid, base.typmod, b.typtype, b.typname, pg_catalog.format_type(b.oid, -1), "
    "pg_catalog.format_type(a.atttypid, a.atttypmod), "
    /* Every type that is in the values. Multiranges came with 14. */
    "(WITH RECURSIVE parts(oid, typmod, outermost) AS (SELECT t.oid, a.atttypmod, true UNION "
    "SELECT x.* FROM parts p JOIN pg_catalog.pg_type y ON y.oid = p.oid CROSS JOIN LATERAL ("
    "SELECT y.typbasetype, y.typtypmod, p.outermost WHERE y.typtype = 'd' "
    "UNION ALL SELECT y.typelem, p.typmod, false WHERE y.typlen = -1 AND y.typelem <> 0 "
    "UNION ALL SELECT f.atttypid, f.atttypmod, false FROM pg_catalog.pg_attribute f "
    "WHERE y.typrelid <> 0 AND f.attrelid = y.typrelid AND f.attnum > 0 AND NOT f.attisdropped "
    "UNION ALL SELECT r.rngsubtype, -1, false FROM pg_catalog.pg_range r WHERE y.typtype IN ('r', "
    "'m') AND (r.rngtypid = y.oid OR pg_catalog.to_jsonb(r) ->> 'rngmultitypid' = y.oid::text)"
    ") AS x) "
    "SELECT pg_catalog.string_agg(pg_catalog.format('%s:%s:%s%s%s', p.oid, p.typmod, y.typtype, "
    "CASE WHEN y.typlen = -1 AND y.typelem <> 0 THEN 'a' ELSE '-' END, "
    "CASE WHEN p.outermost THEN 'o' ELSE '-' END), ' ') "
    "FROM parts p JOIN pg_catalog.pg_type y ON y.oid = p.oid), "
    "e.oid, e.typtype, coalesce(l.collisdeterministic, true) "
    "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
    "CROSS JOIN LATERAL (WITH RECURSIVE chain(oid, typmod, depth, not_null) AS ("
    "SELECT t.oid, a.atttypmod, 0, false UNION ALL SELECT y.typbasetype, y.typtypmod, depth + 1, "
    "not_null OR y.typnotnull "
    "FROM chain JOIN pg_catalog.pg_type y ON y.oid = chain.oid WHERE y.typtype = 'd') "
    "SELECT oid, typmod, not_null FROM chain ORDER BY depth DESC LIMIT 1) AS base "
    "JOIN pg_catalog.pg_type b ON b.oid = base.oid "
    "JOIN pg_catalog.pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 "
    "AND t.typlen = -1 THEN t.typelem ELSE t.oid END "
    "LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation WHERE "
    "a.attrelid = $1::oid AND a.attnum > 0 "
    "AND NOT a.attisdropped ORDER BY a.attnum";

static const char indexes_query[] =
    "SELECT pg_catalog.array_to_string((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1], ' '), "
    "i.indisprimary, i.indimmediate, i.indisexclusion, "
    "i.indisunique AND i.indexprs IS NULL AND NOT EXISTS "
    "(SELECT FROM ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]), "
    "pg_catalog.unnest(i.indcollation::pg_catalog.oid[])) AS k(number, collation_oid) "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number "
    "WHERE k.collation_oid <> a.attcollation), "
    "i.indisunique OR m.amname IN ('btree', 'hash') "
    "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_catalog.pg_am m ON m.oid = c.relam "
    "WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indisready AND i.indislive "
    "AND i.indpred IS NULL ORDER BY i.indisprimary DESC, i.indexrelid";

static const struct {
    const char *name, *sql, *what;
    int params;
    const char *columns; /* of the answer, as pqx_shaped wants them */
} queries[SESSION_PREPARED] = {
    [QUERY_TABLE] = {"walpipe_table", table_query, "look for a table in the target", 2,
                     "vv???vv?v"},
    [QUERY_COLUMNS] = {"walpipe_columns", columns_query, "read a table's columns", 1,
                       "vvvvvvvvvv?vvvvvvvvvv"},
    [QUERY_INDEXES] = {"walpipe_indexes", indexes_query, "read a table's indexes", 1, "vvvvvv"}};

/* The caller clears the result. NULL with err. The queries are prepared, because planning them
 * takes three times as long as running them, and a source may have thousands of tables. */
static PGresult *
ask(struct session *s, enum query query, const char *const *params, struct err *err)
{
    const char *what = queries[query].what, *name = queries[query].name;
    PGresult *result;

    if (s->prepared[query] != s->generation) {
        result = pqx_prepare(s->conn, what, name, queries[query].sql, err);
        if (result == NULL)
            return NULL;
        PQclear(result);
        s->prepared[query] = s->generation;
    }
    result = pqx_exec_prepared(s->conn, what, name, queries[query].params, params, err);
    return pqx_shaped(result, what, 0, PQX_ROWS, queries[query].columns, err);
}

static bool
is_true(const PGresult *r, int row, int field)
{
    return PQgetvalue(r, row, field)[0] == 't';
}

static uint32_t
oid_of(const PGresult *r, int row, int field)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, field), NULL, 10);
}

static const char *
text_or_null(const PGresult *r, int row, int field)
{
    return PQgetisnull(r, row, field) ? NULL : PQgetvalue(r, row, field);
}

static void
take_table(struct catalog *c, const PGresult *r)
{
    c->kind = PQgetvalue(r, 0, TABLE_KIND)[0];
    c->tree = oid_of(r, 0, TABLE_TREE);
    c->row_triggers = text_or_null(r, 0, TABLE_ROW_TRIGGERS);
    c->statement_triggers = text_or_null(r, 0, TABLE_STATEMENT_TRIGGERS);
    c->rules = text_or_null(r, 0, TABLE_RULES);
    c->update_rules = is_true(r, 0, TABLE_UPDATE_RULES);
    c->cascades = is_true(r, 0, TABLE_CASCADES);
    c->swallowed = text_or_null(r, 0, TABLE_SWALLOWED);
}

bool
catalog_part(const char **parts, struct catalog_part *part)
{
    char *at;

    *part = (struct catalog_part){.oid = (uint32_t)strtoul(*parts, &at, 10)};
    if (at == *parts || *at != ':')
        return false;
    part->typmod = (int32_t)strtol(at + 1, &at, 10);
    if (*at != ':' || strnlen(at, 4) < 4)
        return false;
    part->kind = at[1];
    part->container = at[2] == 'a';
    part->outermost = at[3] == 'o';
    *parts = at + 4 + (at[4] == ' ');
    return true;
}

static void
take_column(struct catalog_column *c, const PGresult *r, int row)
{
    *c = (struct catalog_column){
        .name = PQgetvalue(r, row, COL_NAME),
        .number = (int16_t)strtol(PQgetvalue(r, row, COL_NUMBER), NULL, 10),
        .not_null = is_true(r, row, COL_NOT_NULL),
        .required = is_true(r, row, COL_REQUIRED),
        .generated = PQgetvalue(r, row, COL_GENERATED)[0] != '\0',
        .identity_always = PQgetvalue(r, row, COL_IDENTITY)[0] == 'a',
        .kind = PQgetvalue(r, row, COL_TYPE_KIND)[0],
        .type_oid = oid_of(r, row, COL_TYPE_OID),
        .base_type_oid = oid_of(r, row, COL_BASE_TYPE_OID),
        .base_typmod = (int32_t)strtol(PQgetvalue(r, row, COL_BASE_TYPMOD), NULL, 10),
        .base_kind = PQgetvalue(r, row, COL_BASE_KIND)[0],
        .base_name = PQgetvalue(r, row, COL_BASE_NAME),
        .base_type = PQgetvalue(r, row, COL_BASE_TYPE),
        .parts = PQgetvalue(r, row, COL_PARTS),
        .type = PQgetvalue(r, row, COL_TYPE),
        .full_type = PQgetvalue(r, row, COL_FULL_TYPE),
        .part_oid = oid_of(r, row, COL_PART_OID),
        .part_kind = PQgetvalue(r, row, COL_PART_KIND)[0],
        .byte_order = is_true(r, row, COL_BYTE_ORDER),
        .temp_type = PQgetvalue(r, row, COL_TEMP_TYPE),
        .equals = PQgetisnull(r, row, COL_EQUALS) ? "=" : PQgetvalue(r, row, COL_EQUALS)};
}

static void
take_index(struct catalog_index *index, const PGresult *r, int row)
{
    const char *at = PQgetvalue(r, row, INDEX_COLUMNS);
    char *end;

    index->primary = is_true(r, row, INDEX_PRIMARY);
    index->immediate = is_true(r, row, INDEX_IMMEDIATE);
    index->unique = is_true(r, row, INDEX_IS_UNIQUE);
    index->searches = is_true(r, row, INDEX_SEARCHES);
    index->exclusion = is_true(r, row, INDEX_EXCLUSION);
    while (*at != '\0' && index->count < INDEX_COLUMNS_MAX) {
        index->columns[index->count++] = (int16_t)strtol(at, &end, 10);
        at = end;
    }
}

static int
take_answers(struct catalog *c, const PGresult *columns, const PGresult *indexes, struct err *err)
{
    c->columns_count = (uint32_t)PQntuples(columns);
    c->indexes_count = (uint32_t)PQntuples(indexes);
    c->columns = calloc(c->columns_count + 1u, sizeof *c->columns);
    c->indexes = calloc(c->indexes_count + 1u, sizeof *c->indexes);
    if (c->columns == NULL || c->indexes == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table's catalog");
    for (uint32_t i = 0; i < c->columns_count; i++)
        take_column(&c->columns[i], columns, (int)i);
    for (uint32_t i = 0; i < c->indexes_count; i++)
        take_index(&c->indexes[i], indexes, (int)i);
    return 1;
}

int
catalog_read(struct session *s, const char *schema, const char *name, struct catalog *out,
             struct err *err)
{
    const char *names[] = {schema, name}, *oid[1];
    PGresult **answers = out->answers;

    *out = (struct catalog){0};
    answers[0] = ask(s, QUERY_TABLE, names, err);
    if (answers[0] == NULL)
        return -1;
    if (PQntuples(answers[0]) == 0)
        return 0;
    oid[0] = PQgetvalue(answers[0], 0, TABLE_OID);
    take_table(out, answers[0]);
    answers[1] = ask(s, QUERY_COLUMNS, oid, err);
    answers[2] = answers[1] == NULL ? NULL : ask(s, QUERY_INDEXES, oid, err);
    return answers[2] == NULL ? -1 : take_answers(out, answers[1], answers[2], err);
}

void
catalog_free(struct catalog *c)
{
    for (size_t i = 0; i < sizeof c->answers / sizeof *c->answers; i++)
        PQclear(c->answers[i]);
    free(c->columns);
    free(c->indexes);
    *c = (struct catalog){0};
}
