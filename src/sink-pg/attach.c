/* attach.c: see attach.h. */
#include "sink-pg/attach.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copyresync.h"
#include "lib/pqmark.h"
#include "sink-pg/copyheld.h"
#include "sink-pg/epoch.h"
#include "sink-pg/mapping.h"
#include "sink-pg/notetables.h"
#include "sink-pg/ownrows.h"
#include "sink-pg/owntables.h"
#include "sink-pg/park.h"
#include "sink-pg/resync.h"
#include "sink-pg/sqltext.h"

/* A table of the source that the sink takes. */
struct attached {
    struct relation relation;
    bool anew; /* it is copied as a new table: it cannot be copied again, or has no target yet */
};

struct attaching {
    const struct attach *of;
    struct session *session;
    struct intake intake;
    struct copying known; /* all of them, for resync_check */
    struct attached *tables;
    size_t count;
};

/* ---- the source's tables ---- */

static int
add_table(struct attaching *a, struct relation *relation, struct err *err)
{
    struct attached *more = realloc(a->tables, (a->count + 1) * sizeof *more);

    if (more != NULL)
        a->tables = more;
    if (more == NULL || copyparts_new(&a->known, relation, 0, err) == NULL) {
        relation_free(relation);
        return more == NULL ? err_set(err, EXIT_PEER, "out of memory for the tables") : -1;
    }
    a->tables[a->count++] = (struct attached){.relation = *relation};
    return 0;
}

static int
read_tables(struct attaching *a, struct err *err)
{
    struct relation next;
    int rc = 0;

    while (rc == 0) {
        rc = intake_next_relation(&a->intake, &next, err);
        if (rc == 0)
            rc = add_table(a, &next, err);
    }
    return rc < 0 ? -1 : 0;
}

/* ---- whether the target takes them ---- */

static int
ask_bool(struct session *s, const char *sql, int count, const char *const *params, bool *yes,
         struct err *err)
{
    static const char what[] = "look whether the sink can come back";
    PGresult *row =
        pqx_shaped(pqx_exec_params(s->conn, what, sql, count, params, err), what, 1, 1, "v", err);

    if (row == NULL)
        return -1;
    *yes = PQgetvalue(row, 0, 0)[0] == 't';
    PQclear(row);
    return 0;
}

static int
look_for_target(const struct attaching *a, const struct relation *relation, bool *there,
                struct err *err)
{
    struct buf target = {0};
    const char *params[1];
    int rc;

    mapping_target_sql(a->of->map, relation->schema, relation->name, &target);
    params[0] = sqltext_get(&target);
    rc = params[0] == NULL ? err_set(err, EXIT_PEER, "out of memory for a table's name")
                           : ask_bool(a->session, "SELECT pg_catalog.to_regclass($1) IS NOT NULL",
                                      1, params, there, err);
    buf_free(&target);
    return rc;
}

static int
look_for_rows(const struct attaching *a, const char *schema, const char *name, bool *any,
              struct err *err)
{
    struct buf rows = {0}, sql = {0};
    int rc = ownrows_name(a->session, schema, name, &rows, err);

    if (rc == 0) {
        sqltext_add(&sql, "SELECT EXISTS (SELECT FROM %s)",
                    sqltext_get(&rows) == NULL ? "" : sqltext_get(&rows));
        rc = sqltext_get(&sql) == NULL || sqltext_get(&rows) == NULL
                 ? err_set(err, EXIT_PEER, "out of memory for a query")
                 : ask_bool(a->session, sqltext_get(&sql), 0, NULL, any, err);
    }
    buf_free(&rows);
    buf_free(&sql);
    return rc;
}

/* Rows that are there could not be told from those that are copied. */
static int
require_empty(const struct attaching *a, const struct relation *relation, struct err *err)
{
    const char *schema, *name;
    char label[sizeof err->relation];
    bool any;

    mapping_target(a->of->map, relation->schema, relation->name, &schema, &name);
    snprintf(label, sizeof label, "%s.%s", schema, name);
    if (look_for_rows(a, schema, name, &any, err) != 0)
        return -1;
    return any ? copyresync_refuse(
                     label, "it has no key that identifies its rows, and is not empty",
                     "empty the table in the target, and run walpipe resume again", err)
               : 0;
}

/* why: it cannot be copied again. An empty target table is as good as a new one. */
static int
judge_refused(const struct attaching *a, struct attached *table, const struct err *why,
              struct err *err)
{
    const char *schema, *name;
    bool any;

    mapping_target(a->of->map, table->relation.schema, table->relation.name, &schema, &name);
    if (look_for_rows(a, schema, name, &any, err) != 0)
        return -1;
    table->anew = !any;
    if (!any)
        return 0;
    *err = *why;
    return err_hint(err, "%.400s; or empty it in the target, and run walpipe resume again",
                    why->hint);
}

static int
judge(struct attaching *a, struct attached *table, struct resync *resync, struct err *err)
{
    struct err why = {0};
    bool there;

    if (look_for_target(a, &table->relation, &there, err) != 0)
        return -1;
    table->anew = !there || !copyparts_has_key(&table->relation);
    if (!there)
        return 0;
    if (table->anew)
        return require_empty(a, &table->relation, err);
    if (resync_check(resync, &table->relation, &why) == 0)
        return 0;
    if (why.code == EXIT_REFUSED)
        return judge_refused(a, table, &why, err);
    *err = why;
    return -1;
}

static int
judge_all(struct attaching *a, struct err *err)
{
    struct tables tables = {.mapping = a->of->map};
    struct staging staging = {.pipeline = a->of->pipeline, .sink = a->of->sink, .tables = &tables};
    struct resync resync = {.staging = &staging, .copying = &a->known, .session = a->session};

    if (pqmark_find(a->session->conn, &a->intake.hello.run_id, &tables.target_is_source, err) != 0)
        return -1;
    for (size_t i = 0; i < a->count; i++)
        if (judge(a, &a->tables[i], &resync, err) != 0)
            return -1;
    return 0;
}

/* ---- the progress ---- */

/* The target's rows may be of another source, and its progress then is no one's to change. */
static int
require_source(const struct attaching *a, struct err *err)
{
    const struct hello *hello = &a->intake.hello;
    char system[24], timeline[16];
    const char *params[] = {a->of->pipeline, a->of->sink, system, hello->slot, timeline};
    bool other;

    snprintf(system, sizeof system, "%" PRIu64, hello->system_identifier);
    snprintf(timeline, sizeof timeline, "%" PRIu32, hello->timeline);
    if (ask_bool(a->session,
                 "SELECT EXISTS (SELECT FROM walpipe.progress WHERE pipeline = $1 AND sink = $2 "
                 "AND (system_identifier <> $3 OR slot <> $4 OR timeline > $5::bigint))",
                 5, params, &other, err) != 0)
        return -1;
    if (!other)
        return 0;
    err_set(err, EXIT_REFUSED,
            "walpipe.progress of the target belongs to another source than cluster %s, timeline "
            "%s, slot %s",
            system, timeline, hello->slot);
    return err_hint(err,
                    "correct conninfo if this is the wrong source or an old primary; otherwise "
                    "let the sink alone begin anew (Add and remove a sink in "
                    "docs/operations.md)");
}

static int
run(const struct attaching *a, const char *what, const char *sql, int count,
    const char *const *params, struct err *err)
{
    PGresult *result = pqx_exec_params(a->session->conn, what, sql, count, params, err);

    PQclear(result);
    return result == NULL ? -1 : 0;
}

/* The rows stay, for their epochs: a worker that lives nevertheless must not find its own again. */
static int
begin_anew(const struct attaching *a, struct err *err)
{
    char timeline[16];
    const char *params[] = {a->of->pipeline, a->of->sink, timeline};
    bool layers;

    snprintf(timeline, sizeof timeline, "%" PRIu32, a->intake.hello.timeline);
    if (run(a, "begin walpipe.progress anew",
            "UPDATE walpipe.progress SET lsn = '0/0', partial_commit_lsn = NULL, "
            "partial_ordinal = NULL, timeline = $3::bigint, epoch = epoch + " EPOCH_TAKEN ", "
            "updated_at = pg_catalog.now() WHERE pipeline = $1 AND sink = $2",
            3, params, err) != 0 ||
        owntables_exist(a->session, "progress_before", &layers, err) != 0)
        return -1;
    return layers ? run(a, "delete from walpipe.progress_before",
                        "DELETE FROM walpipe.progress_before WHERE pipeline = $1 AND sink = $2", 2,
                        params, err)
                  : 0;
}

/* ---- the notes ---- */

/* Each has all six parameters: pipeline, sink, relid, schema, name, and whether it is new. */
#define TYPED                                                                                      \
    "$1::text IS NOT NULL AND $2::text IS NOT NULL AND $3::oid IS NOT NULL AND "                   \
    "$4::text IS NOT NULL AND $5::text IS NOT NULL AND $6::boolean IS NOT NULL"

/* The first one also removes the notes of an earlier table of the name. */
static const char *const table_steps[] = {
    "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid <> 0 AND "
    "((relid <> $3::oid AND schema = $4 AND name = $5) OR (relid = $3::oid AND $6::boolean)) "
    "AND " TYPED,
    "UPDATE walpipe.tables SET schema = $4, name = $5, "
    "state = CASE WHEN state LIKE 'out-%' THEN 'out-resync' ELSE 'resync' END, "
    "l0 = '0/0', file = 0, done = '', rows = 0, target = '', updated_at = pg_catalog.now() "
    "WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid AND " TYPED,
    "INSERT INTO walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, layout) "
    "SELECT $1, $2, $3::oid, 0, 0, $4, $5, 'resync', 0 WHERE NOT $6::boolean AND NOT EXISTS "
    "(SELECT FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid) "
    "AND " TYPED};

static int
note_table(const struct attaching *a, const struct attached *table, struct err *err)
{
    char relid[16];
    const char *params[] = {a->of->pipeline,        a->of->sink,          relid,
                            table->relation.schema, table->relation.name, table->anew ? "t" : "f"};

    snprintf(relid, sizeof relid, "%" PRIu32, table->relation.relid);
    for (size_t i = 0; i < sizeof table_steps / sizeof *table_steps; i++)
        if (run(a, "write walpipe.tables", table_steps[i], 6, params, err) != 0)
            return -1;
    return park_resume(a->session, a->of->pipeline, a->of->sink, table->relation.relid, err);
}

/* $3 has the oids of the source's tables. A table without a note is a new one from now on. */
static const char *const other_steps[] = {
    "UPDATE walpipe.tables SET state = 'out-' || state, updated_at = pg_catalog.now() "
    "WHERE pipeline = $1 AND sink = $2 AND relid <> 0 AND relid <> ALL ($3::oid[]) "
    "AND state NOT LIKE 'out-%' AND state <> 'waiting'",
    "DELETE FROM walpipe.missing WHERE pipeline = $1 AND sink = $2 AND $3::oid[] IS NOT NULL",
    "INSERT INTO walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, layout) "
    "SELECT $1, $2, 0, 0, 0, '*', '*', 'resync', 0 WHERE $3::oid[] IS NOT NULL "
    "ON CONFLICT (pipeline, sink, relid, part, shard) DO UPDATE SET state = 'resync'"};

static int
note_others(const struct attaching *a, struct err *err)
{
    struct buf oids = {0};
    const char *params[] = {a->of->pipeline, a->of->sink, NULL};
    int rc = 0;

    sqltext_add(&oids, "{");
    for (size_t i = 0; i < a->count; i++)
        sqltext_add(&oids, "%s%" PRIu32, i == 0 ? "" : ",", a->tables[i].relation.relid);
    sqltext_add(&oids, "}");
    params[2] = sqltext_get(&oids);
    if (params[2] == NULL)
        rc = err_set(err, EXIT_PEER, "out of memory for the tables");
    for (size_t i = 0; rc == 0 && i < sizeof other_steps / sizeof *other_steps; i++)
        rc = run(a, "write walpipe.tables", other_steps[i], 3, params, err);
    buf_free(&oids);
    return rc;
}

static int
note_all(const struct attaching *a, struct err *err)
{
    struct session *s = a->session;
    const struct staging staging = {.pipeline = a->of->pipeline, .sink = a->of->sink};

    if (session_exec(s, "lock walpipe.tables",
                     "BEGIN; SET LOCAL lock_timeout = '10s'; "
                     "SELECT pg_catalog.pg_advisory_xact_lock("
                     "pg_catalog.hashtextextended('walpipe.progress', 0))",
                     err) != 0 ||
        begin_anew(a, err) != 0 || notetables_make(s, err) != 0 ||
        staging_drop_all(&staging, s, err) != 0 ||
        copyheld_drop(s, a->of->pipeline, a->of->sink, err) != 0)
        return -1;
    for (size_t i = 0; i < a->count; i++)
        if (note_table(a, &a->tables[i], err) != 0)
            return -1;
    return note_others(a, err) != 0 ? -1 : session_exec(s, "commit walpipe.tables", "COMMIT", err);
}

/* A target without progress is a new one, and its first start copies everything. */
static int
attach_tables(struct attaching *a, struct err *err)
{
    bool begun;

    if (intake_hello(&a->intake, err) != 0 || read_tables(a, err) != 0 ||
        owntables_exist(a->session, "progress", &begun, err) != 0)
        return -1;
    if (!begun)
        return 0;
    return require_source(a, err) != 0 || judge_all(a, err) != 0 ? -1 : note_all(a, err);
}

int
attach_note(struct session *s, const struct attach *attach, int in, struct err *err)
{
    struct attaching a = {.of = attach, .session = s};
    int rc;

    intake_init(&a.intake, in);
    rc = attach_tables(&a, err);
    for (size_t i = 0; i < a.count; i++)
        relation_free(&a.tables[i].relation);
    free(a.tables);
    copying_free(&a.known);
    intake_free(&a.intake);
    return rc;
}
