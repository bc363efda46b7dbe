/* checkcopy.c: see checkcopy.h. Follows the rules of copynotes.c, but changes nothing. */
#include "sink-pg/checkcopy.h"

#include <inttypes.h>
#include <stdio.h>

#include "sink-pg/copynotes.h"
#include "sink-pg/match.h"
#include "sink-pg/ownrows.h"
#include "sink-pg/owntables.h"
#include "sink-pg/sqltext.h"

static const char look[] = "look for walpipe's notes in the target";

static int
ask(struct session *s, const char *what, const char *sql, int count, const char *const *params,
    bool *yes, struct err *err)
{
    PGresult *result = pqx_exec_params(s->conn, what, sql, count, params, err);

    result = pqx_shaped(result, what, 1, 1, "v", err);
    if (result == NULL)
        return -1;
    *yes = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return 0;
}

/* Whether the table has a note of its own, or tables without one are streaming. */
static int
ask_notes(struct session *s, const char *const *params, bool *found, struct err *err)
{
    bool tables, progress;

    *found = false;
    if (owntables_exist(s, "tables", &tables, err) != 0 ||
        owntables_exist(s, "progress", &progress, err) != 0)
        return -1;
    if (!progress)
        return 0;
    return ask(s, look,
               tables ? "SELECT EXISTS (SELECT FROM walpipe.tables WHERE pipeline = $1 "
                        "AND sink = $2 AND relid = $3::oid) OR coalesce((SELECT state = "
                        "'streaming' FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 "
                        "AND relid = 0), EXISTS (SELECT FROM walpipe.progress WHERE "
                        "pipeline = $1 AND sink = $2 AND lsn > '0/0'))"
                      : "SELECT EXISTS (SELECT FROM walpipe.progress WHERE pipeline = $1 "
                        "AND sink = $2 AND lsn > '0/0' AND $3::oid IS NOT NULL)",
               3, params, found, err);
}

/* Whether a copy of the table is under way. */
static int
ask_unfinished(struct session *s, const char *const *params, bool *unfinished, struct err *err)
{
    *unfinished = false;
    if (owntables_exist(s, "tables", unfinished, err) != 0)
        return -1;
    if (!*unfinished)
        return 0;
    return ask(s, look,
               "SELECT EXISTS (SELECT FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 "
               "AND relid = $3::oid AND state <> 'streaming')",
               3, params, unfinished, err);
}

static int
ask_empty(struct session *s, const char *schema, const char *name, bool *empty, struct err *err)
{
    struct buf rows = {0}, sql = {0};
    int rc = ownrows_name(s, schema, name, &rows, err);

    if (rc == 0) {
        sqltext_add(&sql, "SELECT NOT EXISTS (SELECT FROM %s)", sqltext_get(&rows));
        rc = sqltext_get(&sql) == NULL
                 ? err_set(err, EXIT_PEER, "out of memory for a query")
                 : ask(s, "look whether a table is empty", sqltext_get(&sql), 0, NULL, empty, err);
    }
    buf_free(&rows);
    buf_free(&sql);
    return rc;
}

/* Rows of it are in another target table than map names now. Notes of an older walpipe do not say
 * in which. */
static int
check_target(struct session *s, const char *const *params, const struct relation *relation,
             const char *schema, const char *name, struct err *err)
{
    const char *with_target[] = {params[0], params[1], params[2], NULL};
    struct buf target = {0};
    bool tables = false, other = false;
    int rc = owntables_exist(s, "tables", &tables, err);

    sqltext_name(&target, schema);
    sqltext_add(&target, ".");
    sqltext_name(&target, name);
    with_target[3] = sqltext_get(&target);
    if (rc == 0 && tables)
        rc = ask(s, look,
                 "SELECT EXISTS (SELECT FROM walpipe.tables AS t WHERE pipeline = $1 AND sink = $2 "
                 "AND relid = $3::oid AND state IN ('copying', 'streaming') "
                 "AND coalesce(pg_catalog.to_jsonb(t) ->> 'target', '') NOT IN ('', $4) "
                 "AND (pg_catalog.to_regclass($4) IS NULL OR pg_catalog.to_regclass("
                 "nullif(pg_catalog.to_jsonb(t) ->> 'target', '')) IS NOT NULL))",
                 4, with_target, &other, err);
    buf_free(&target);
    if (rc != 0 || !other)
        return rc;
    err_set(err, EXIT_REFUSED, "the rows of %s.%s are in another target table than its changes now",
            relation->schema, relation->name);
    return err_hint(err, "set map back, or let the table be copied again (\"Tables that are "
                         "copied\" in sink-pg(1))");
}

void
checkcopy_table(struct session *s, const char *pipeline, const char *sink,
                const struct relation *relation, const struct plan *plan, const char *schema,
                const char *name, struct verdicts *verdicts)
{
    char relid[16], label[2 * NAME_MAX_BYTES + 2];
    const char *params[] = {pipeline, sink, relid};
    struct err err = {0};
    bool noted = false, unfinished = false, empty = true;
    int rc;

    snprintf(relid, sizeof relid, "%" PRIu32, relation->relid);
    snprintf(label, sizeof label, "%.*s.%.*s", NAME_MAX_BYTES, schema, NAME_MAX_BYTES, name);
    rc = check_target(s, params, relation, schema, name, &err);
    if (rc == 0)
        rc = ask_notes(s, params, &noted, &err);
    if (rc == 0)
        rc = ask_unfinished(s, params, &unfinished, &err);
    if (rc == 0 && !noted)
        rc = ask_empty(s, schema, name, &empty, &err);
    if (rc == 0 && !empty)
        rc = copynotes_refuse_rows(schema, name, &err);
    if (rc == 0 && (!noted || unfinished) && copyparts_has_key(relation))
        rc = match_require_overwrites(plan, label, &err);
    if (rc != 0)
        verdict_fail(verdicts, NULL, &err);
}
