/* signature.c: see signature.h. Must not know the meaning of the parts, because any change makes
 * another signature.
 *
 * Rows of the catalog are told apart by xmin, which every change of them sets. Rows of pg_class and
 * pg_index are not, because a TRUNCATE of our own, VACUUM and ANALYZE write them too. A foreign key
 * is a trigger of both its tables. */
#include "sink-pg/signature.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/sqltext.h"

/* One row, x(oid), of a name. */
#define NAMED(name) "(SELECT pg_catalog.to_regclass(" name ")::pg_catalog.oid OFFSET 0) AS x(oid)"

/* For a subquery whose FROM has x. It orders the rows itself, because their order may be another
 * next time. */
#define HASH                                                                                       \
    "SELECT pg_catalog.hashtextextended(pg_catalog.concat(x.oid, ':', "                            \
    "pg_catalog.string_agg(u.part, ',' ORDER BY u.part)), 0) FROM ("                               \
    "SELECT 'a' || a.xmin::pg_catalog.text FROM pg_catalog.pg_attribute AS a "                     \
    "WHERE a.attrelid = x.oid AND a.attnum > 0 "                                                   \
    "UNION ALL SELECT 'i' || i.indexrelid FROM pg_catalog.pg_index AS i "                          \
    "WHERE i.indrelid = x.oid AND (i.indisunique OR i.indisexclusion) AND i.indisvalid "           \
    "UNION ALL SELECT 'p' || h.inhparent FROM pg_catalog.pg_inherits AS h "                        \
    "WHERE h.inhrelid = x.oid "

#define PLAIN                                                                                      \
    "(" HASH "UNION ALL SELECT 'r' || r.xmin::pg_catalog.text FROM pg_catalog.pg_rewrite AS r "    \
    "WHERE r.ev_class = x.oid "                                                                    \
    "UNION ALL SELECT 'g' || g.xmin::pg_catalog.text FROM pg_catalog.pg_trigger AS g "             \
    "WHERE g.tgrelid = x.oid) AS u(part))"

/* A view passes its rows on to the relations of its query. */
#define MEMBERS                                                                                    \
    "WITH RECURSIVE named(oid) AS (SELECT x.oid UNION SELECT d.refobjid FROM named "               \
    "JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = named.oid AND r.ev_type = '1' "               \
    "JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "  \
    "AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass), "         \
    "tree(oid) AS (SELECT oid FROM named UNION SELECT i.inhrelid FROM tree "                       \
    "JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.oid) "

#define TREE                                                                                       \
    "(" MEMBERS HASH "UNION ALL SELECT 't' || tree.oid FROM tree "                                 \
    "UNION ALL SELECT 'r' || r.xmin::pg_catalog.text FROM named "                                  \
    "JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = named.oid "                                   \
    "UNION ALL SELECT 'g' || g.xmin::pg_catalog.text FROM tree "                                   \
    "JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = tree.oid) AS u(part))"

#define QUOTED_NAME NAMED("pg_catalog.format('%I.%I', $1::pg_catalog.text, $2::pg_catalog.text)")

#define TREE_OIDS                                                                                  \
    "(" MEMBERS "SELECT pg_catalog.string_agg(pg_catalog.quote_literal(oid), ',') FROM tree)"

static const char read_one[] =
    "SELECT k.tree, CASE WHEN k.tree THEN " TREE " ELSE " PLAIN " END, "
    "CASE WHEN k.tree THEN " TREE_OIDS " ELSE pg_catalog.quote_literal(x.oid) END "
    "FROM " QUOTED_NAME " CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c "
    "WHERE c.oid = x.oid AND c.relkind IN ('p', 'v'))) AS k(tree)";

/* $3 tells whether the difference is an error, for the commands behind it in a pipeline. */
#define ASK(hash)                                                                                  \
    "SELECT pg_catalog.count(*), "                                                                 \
    "CASE WHEN $3::pg_catalog.bool THEN 1 / (pg_catalog.count(*) = 0)::pg_catalog.int4 END "       \
    "FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), "                                   \
    "pg_catalog.unnest($2::pg_catalog.int8[])) AS y(name, hash) "                                  \
    "CROSS JOIN LATERAL " NAMED("y.name") " WHERE y.hash IS DISTINCT FROM " hash

static const struct {
    const char *name, *sql;
} questions[2] = {{"walpipe_same", ASK(PLAIN)}, {"walpipe_same_tree", ASK(TREE)}};

int
signature_read(struct session *s, const char *schema, const char *name, struct signature *out,
               struct err *err)
{
    static const char what[] = "read a table's signature", stmt[] = "walpipe_signature";
    const char *params[] = {schema, name};
    PGresult *result;

    if (s->prepared[SESSION_SIGNATURE] != s->generation) {
        result = pqx_prepare(s->conn, what, stmt, read_one, err);
        if (result == NULL)
            return -1;
        PQclear(result);
        s->prepared[SESSION_SIGNATURE] = s->generation;
    }
    result = pqx_exec_prepared(s->conn, what, stmt, 2, params, err);
    result = pqx_shaped(result, what, 1, 1, "vv?", err);
    if (result == NULL)
        return -1;
    *out = (struct signature){.tree = PQgetvalue(result, 0, 0)[0] == 't',
                              .hash = strtoll(PQgetvalue(result, 0, 1), NULL, 10),
                              .oids = strdup(PQgetvalue(result, 0, 2))};
    PQclear(result);
    return out->oids == NULL ? err_set(err, EXIT_PEER, "out of memory for a signature") : 0;
}

void
signature_free(struct signature *signature)
{
    free(signature->oids);
    *signature = (struct signature){0};
}

void
signatures_clear(struct signatures *q)
{
    for (size_t i = 0; i < 2; i++) {
        buf_reset(&q->sets[i].names, 1u << 16);
        buf_reset(&q->sets[i].hashes, 1u << 16);
        q->sets[i].count = 0;
        q->sets[i].ended = false;
    }
}

/* As an element of an array literal. */
static void
add_quoted(struct buf *sql, const char *text)
{
    sqltext_add(sql, "\"");
    for (; *text != '\0'; text++)
        sqltext_add(sql, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    sqltext_add(sql, "\"");
}

void
signatures_add(struct signatures *q, const char *target, const struct signature *signature)
{
    struct signature_set *set = &q->sets[signature->tree];
    const char *separator = set->count++ == 0 ? "{" : ",";

    sqltext_add(&set->names, "%s", separator);
    add_quoted(&set->names, target);
    sqltext_add(&set->hashes, "%s%" PRId64, separator, signature->hash);
}

/* Call it after the last signatures_add. The arguments of the query for a set. */
static int
end_set(struct signature_set *set, const char *values[3], struct err *err)
{
    if (!set->ended) {
        sqltext_add(&set->names, "}");
        sqltext_add(&set->hashes, "}");
    }
    set->ended = true;
    values[0] = sqltext_get(&set->names);
    values[1] = sqltext_get(&set->hashes);
    return values[0] == NULL || values[1] == NULL
               ? err_set(err, EXIT_PEER, "out of memory for the tables' signatures")
               : 0;
}

/* The statement, as this session knows it. */
static struct stmt *
stmt_of(struct signatures *q, size_t which, const struct session *s)
{
    struct stmt *stmt = &q->sets[which].stmt;

    if (q->generation != s->generation)
        for (size_t i = 0; i < 2; i++)
            q->sets[i].stmt = (struct stmt){0};
    q->generation = s->generation;
    snprintf(stmt->name, sizeof stmt->name, "%s", questions[which].name);
    return stmt;
}

int
signatures_queue(struct signatures *q, struct pipe *pipe, struct err *err)
{
    for (size_t i = 0; i < 2; i++) {
        struct stmt *stmt = stmt_of(q, i, pipe->session);
        const char *values[3] = {NULL, NULL, "t"};

        if (q->sets[i].count == 0)
            continue;
        if (end_set(&q->sets[i], values, err) != 0 ||
            (stmt->state == STMT_NEW &&
             pipe_prepare(pipe, stmt, questions[i].sql, 0, NULL, err) != 0) ||
            pipe_execute(pipe, STEP_SIGNATURE, 0, stmt, 3, values, NULL, NULL, err) != 0)
            return -1;
    }
    return 0;
}

static const char ask_what[] = "ask whether tables are the same";

static PGresult *
ask_prepared(struct session *s, struct stmt *stmt, const char *sql, const char *const values[3],
             struct err *err)
{
    PGresult *result;

    if (stmt->state == STMT_NEW) {
        result = pqx_prepare(s->conn, ask_what, stmt->name, sql, err);
        if (result == NULL)
            return NULL;
        PQclear(result);
        stmt->state = STMT_READY;
    }
    return pqx_exec_prepared(s->conn, ask_what, stmt->name, 3, values, err);
}

int
signatures_ask(struct signatures *q, struct session *s, bool once, bool *same, struct err *err)
{
    *same = true;
    for (size_t i = 0; i < 2; i++) {
        const char *values[3] = {NULL, NULL, "f"}, *sql = questions[i].sql;
        PGresult *result;

        if (q->sets[i].count == 0)
            continue;
        if (end_set(&q->sets[i], values, err) != 0)
            return -1;
        result = once ? pqx_exec_params(s->conn, ask_what, sql, 3, values, err)
                      : ask_prepared(s, stmt_of(q, i, s), sql, values, err);
        result = pqx_shaped(result, ask_what, 1, 1, "v?", err);
        if (result == NULL)
            return -1;
        *same = *same && strcmp(PQgetvalue(result, 0, 0), "0") == 0;
        PQclear(result);
    }
    return 0;
}

bool
signatures_differ(const struct pipe_failure *f)
{
    return !f->lost && f->kind == STEP_SIGNATURE && strcmp(f->sqlstate, "22012") == 0;
}

void
signatures_free(struct signatures *q)
{
    for (size_t i = 0; i < 2; i++) {
        buf_free(&q->sets[i].names);
        buf_free(&q->sets[i].hashes);
    }
}
