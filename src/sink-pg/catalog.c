/* catalog.c: see catalog.h. Everything is asked with parameters. */
#include "sink-pg/catalog.h"

static const char table_query[] =
    "SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
    "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v')";

/* A temporary table gets a domain's base type as text: a NULL that only fills a place must not meet
 * NOT NULL. */
/* The operators of an extension's type are not in pg_catalog, and search_path is empty: `=` would
 * mean another type's. */
static const char columns_query[] =
    "SELECT a.attnum, a.attname, a.atttypid, a.attnotnull, a.attidentity, a.attgenerated, "
    "a.atthasdef, CASE WHEN t.typtype = 'd' THEN 'text' "
    "ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END, "
    "pg_catalog.format_type(a.atttypid, -1), t.typname, t.typtype, "
    "(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname) "
    "FROM pg_catalog.pg_opclass c "
    "JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree' "
    "JOIN pg_catalog.pg_amop p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3 "
    "AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype "
    "JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr "
    "JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace "
    "WHERE c.opcdefault AND n.nspname <> 'pg_catalog' AND c.opcintype = "
    "CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END LIMIT 1), "
    /* regclass and its like, also inside of arrays, domains and composites */
    "(WITH RECURSIVE parts(part) AS (SELECT t.oid UNION SELECT x.part FROM parts "
    "JOIN pg_catalog.pg_type y ON y.oid = parts.part CROSS JOIN LATERAL ("
    "SELECT y.typelem WHERE y.typlen = -1 UNION ALL SELECT y.typbasetype UNION ALL "
    "SELECT f.atttypid FROM pg_catalog.pg_attribute f WHERE y.typrelid <> 0 "
    "AND f.attrelid = y.typrelid AND f.attnum > 0 AND NOT f.attisdropped) AS x(part)) "
    "SELECT pg_catalog.count(*) > 0 FROM parts WHERE part IN "
    "(24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191)), "
    "CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, "
    "CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, "
    "pg_catalog.format_type(a.atttypid, a.atttypmod) "
    "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE "
    "a.attrelid = $1::oid AND a.attnum > 0 "
    "AND NOT a.attisdropped ORDER BY a.attnum";

static const char indexes_query[] =
    "SELECT pg_catalog.array_to_string((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1], ' '), "
    "i.indisprimary, i.indimmediate FROM pg_catalog.pg_index i WHERE i.indrelid = $1::oid AND "
    "i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL "
    "ORDER BY i.indisprimary DESC, i.indexrelid";

static const struct {
    const char *name, *sql, *what;
    int params;
    const char *columns; /* of the answer, as pqx_shaped wants them */
} queries[SESSION_PREPARED] = {
    [QUERY_TABLE] = {"walpipe_table", table_query, "look for a table in the target", 2, "vv"},
    [QUERY_COLUMNS] = {"walpipe_columns", columns_query, "read a table's columns", 1,
                       "vvvvvvvvvvv?vvvv"},
    [QUERY_INDEXES] = {"walpipe_indexes", indexes_query, "read a table's indexes", 1, "vvv"}};

/* Prepared: to plan them takes three times as long as to run them, and a source may have thousands
 * of tables. */
PGresult *
catalog_ask(struct session *s, enum catalog_query query, const char *const *params, struct err *err)
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
