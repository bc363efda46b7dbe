/* neighbours.c: see neighbours.h. */
#include "sink-pg/neighbours.h"

#include <stdio.h>
#include <string.h>

#include "sink-pg/mapping.h"
#include "sink-pg/sqltext.h"

static int
refuse(const struct relation *relation, const char *why, struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "cannot replicate %s.%s: the target is the source's own database%s, and each change "
            "would come back as a new one for ever",
            relation->schema, relation->name, why);
    return err_hint(err, "name another database in the sink's conninfo, leave the table out "
                         "with tables, or map it to a table that is not published");
}

int
neighbours_refuse_loop(const struct tablemap *mapping, const struct relation *relation,
                       struct err *err)
{
    const char *schema = relation->schema, *name = relation->name;

    /* A way through the map that has not come back after as many steps as it has entries never
     * does. */
    for (size_t step = 0; step <= mapping->count; step++) {
        mapping_target(mapping, schema, name, &schema, &name);
        if (strcmp(schema, relation->schema) != 0 || strcmp(name, relation->name) != 0)
            continue;
        return refuse(relation, "", err);
    }
    return 0;
}

/* $1 and $2 are the source's table and the target. $3 and $4 are the sources and the targets of the
 * map. $5 tells which rules apply in the session. writes.wide means that the rows of inheriting
 * tables are included. The other tables of a rule or a view may be read only, which nobody can
 * tell. */
static const char way_back_sql[] =
    "WITH RECURSIVE map(source, target) AS (SELECT pg_catalog.to_regclass(m.a)::pg_catalog.oid, "
    "pg_catalog.to_regclass(m.b)::pg_catalog.oid FROM ROWS FROM ("
    "pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[])) "
    "AS m(a, b)), "
    "writes(oid, wide) AS (SELECT c.oid, c.relkind <> 'r' FROM pg_catalog.pg_class c "
    "WHERE c.oid = pg_catalog.to_regclass($2) UNION SELECT n.* FROM writes w "
    "JOIN pg_catalog.pg_class c ON c.oid = w.oid CROSS JOIN LATERAL ("
    "SELECT i.inhrelid, true FROM pg_catalog.pg_inherits i WHERE i.inhparent = w.oid AND w.wide "
    "UNION ALL SELECT d.refobjid, true FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d "
    "ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid "
    "AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> w.oid "
    "WHERE r.ev_class = w.oid AND CASE WHEN r.ev_type = '1' THEN c.relkind = 'v' "
    "ELSE r.ev_enabled IN ('A', $5) END "
    "UNION ALL SELECT t.oid, t.relkind <> 'r' FROM map JOIN pg_catalog.pg_class t "
    "ON t.oid = map.target WHERE map.source = w.oid "
    "OR map.source IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(w.oid))"
    ") AS n(oid, wide)) "
    "SELECT EXISTS (SELECT FROM writes w WHERE w.oid = pg_catalog.to_regclass($1) "
    "OR pg_catalog.to_regclass($1) IN (SELECT relid FROM "
    "pg_catalog.pg_partition_ancestors(w.oid)))";

/* Of an array's text. */
static void
add_element(struct buf *array, const char *schema, const char *table)
{
    struct buf name = {0};
    const char *text;

    sqltext_name(&name, schema);
    sqltext_add(&name, ".");
    sqltext_name(&name, table);
    text = sqltext_get(&name);
    buf_append(array, buf_len(array) == 0 ? "{\"" : ",\"", 2);
    for (; text != NULL && *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_append(array, "\\", 1);
        buf_append(array, text, 1);
    }
    buf_append(array, "\"", 1);
    array->failed |= name.failed;
    buf_free(&name);
}

/* Ends a text[], of one name or of the map's. */
static const char *
end_array(struct buf *array)
{
    sqltext_add(array, buf_len(array) == 0 ? "{}" : "}");
    return sqltext_get(array);
}

static int
ask_way_back(struct session *s, const char *const params[5], bool *back, struct err *err)
{
    static const char what[] = "look whether the target's rows are the source's";
    PGresult *r = pqx_exec_params(s->conn, what, way_back_sql, 5, params, err);

    r = pqx_shaped(r, what, 1, 1, "v", err);
    if (r == NULL)
        return -1;
    *back = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return 0;
}

int
neighbours_refuse_way_back(struct session *s, const struct tablemap *mapping,
                           const struct relation *relation, const char *const target[2],
                           struct err *err)
{
    struct buf source = {0}, to = {0}, sources = {0}, targets = {0};
    const char *params[5];
    bool back = false;
    char why[300];
    int rc;

    sqltext_name(&source, relation->schema);
    sqltext_add(&source, ".");
    sqltext_name(&source, relation->name);
    sqltext_name(&to, target[0]);
    sqltext_add(&to, ".");
    sqltext_name(&to, target[1]);
    for (size_t i = 0; i < mapping->count; i++) {
        add_element(&sources, mapping->entries[i].schema, mapping->entries[i].table);
        add_element(&targets, mapping->entries[i].to_schema, mapping->entries[i].to_table);
    }
    params[0] = sqltext_get(&source);
    params[1] = sqltext_get(&to);
    params[2] = end_array(&sources);
    params[3] = end_array(&targets);
    params[4] = s->replica ? "R" : "O";
    rc = params[0] == NULL || params[1] == NULL || params[2] == NULL || params[3] == NULL
             ? err_set(err, EXIT_PEER, "out of memory for a table")
             : ask_way_back(s, params, &back, err);
    buf_free(&source);
    buf_free(&to);
    buf_free(&sources);
    buf_free(&targets);
    snprintf(why, sizeof why,
             ", %.63s.%.63s leads to the table's own rows as a partition, a partitioned table, a "
             "view or by a rule",
             target[0], target[1]);
    return rc == 0 && back ? refuse(relation, why, err) : rc;
}

static const char publications_sql[] =
    "SELECT pubname FROM pg_catalog.pg_publication WHERE puballtables OR pubname IN "
    "(SELECT pubname FROM pg_catalog.pg_publication_tables WHERE schemaname = '" WALPIPE_SCHEMA
    "') ORDER BY 1";

void
neighbours_check(struct session *s, struct verdicts *verdicts)
{
    static const char what[] = "look for publications of the target";
    struct err err = {0};
    PGresult *r =
        pqx_shaped(pqx_exec(s->conn, what, publications_sql, &err), what, 0, PQX_ROWS, "v", &err);

    if (r == NULL) {
        verdict_fail(verdicts, NULL, &err);
        return;
    }
    for (int i = 0; i < PQntuples(r); i++)
        verdict_say(verdicts, VERDICT_WARN,
                    "target: publication \"%s\" of this database publishes walpipe.progress too: "
                    "another walpipe leaves it out, but a subscription stops at it until its "
                    "database has a table like this (see sink-pg(1)); or let the publication name "
                    "its tables",
                    PQgetvalue(r, i, 0));
    PQclear(r);
}
