/* progress.c: see progress.h. Must not know tables or batches. */
#include "sink-pg/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "sink-pg/epoch.h"
#include "sink-pg/owntables.h"
#include "sink-pg/relayout.h"
#include "sink-pg/sqltext.h"

#define OID_INT8        20
#define OID_INT4        23
#define OID_TEXT        25
#define OID_TIMESTAMPTZ 1184
#define OID_PG_LSN      3220

/* The rows are small and updated all the time. Free room in the page keeps the updates off the
 * index (HOT). */
static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS walpipe.progress ("
    "pipeline text NOT NULL, sink text NOT NULL, shard integer NOT NULL, shards integer NOT NULL,"
    "system_identifier text NOT NULL, timeline bigint NOT NULL, slot text NOT NULL,"
    "epoch bigint NOT NULL, lsn pg_lsn NOT NULL,"
    "partial_commit_lsn pg_lsn, partial_ordinal bigint, layout bigint,"
    "updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),"
    "PRIMARY KEY (pipeline, sink, shard)) WITH (fillfactor = 50)";

/* 2 is EPOCH_COMMITTED. $9 is NULL if nothing is asked for the watch, whose oids ARRAY has. */
#define UPDATE_ROW                                                                                 \
    "WITH mine AS (UPDATE walpipe.progress SET lsn = $4, partial_commit_lsn = $5, "                \
    "partial_ordinal = $6, timeline = $8, epoch = $7 + 2, updated_at = pg_catalog.now() "          \
    "WHERE pipeline = $1 AND sink = $2 AND shard = $3 AND epoch = $7 RETURNING 1) "                \
    "SELECT 1 / (pg_catalog.count(*) * (('now'::pg_catalog.timestamptz = $9 "                      \
    "AND ARRAY[%.*s]::pg_catalog.regclass[] IS NOT NULL) IS NOT FALSE)::pg_catalog.int4), "        \
    "'now'::pg_catalog.timestamptz FROM mine"

enum { ROW_SHARD, ROW_SHARDS, ROW_SYSTEM, ROW_TIMELINE, ROW_SLOT, ROW_LSN, ROW_PARTIAL_LSN };

bool
position_equal(const struct position *a, const struct position *b)
{
    return a->lsn == b->lsn && a->partial_commit_lsn == b->partial_commit_lsn &&
           a->partial_ordinal == b->partial_ordinal;
}

/* CREATE SCHEMA IF NOT EXISTS needs CREATE on the database even where the schema exists. */
static int
make_schema(struct session *s, struct err *err)
{
    bool exists;

    if (owntables_have_schema(s, &exists, err) != 0)
        return -1;
    return exists ? 0
                  : session_exec(s, "create schema walpipe in the target",
                                 "CREATE SCHEMA IF NOT EXISTS walpipe", err);
}

static int
make_table(struct session *s, struct err *err)
{
    bool exists;

    if (owntables_exist(s, "progress", &exists, err) != 0)
        return -1;
    if (exists)
        return 0;
    if (make_schema(s, err) == 0 &&
        session_exec(s, "create walpipe.progress in the target", create_table, err) == 0)
        return 0;
    if (err->code == EXIT_REFUSED)
        err_hint(err, "grant CREATE on the database to the sink's role, or make the schema with "
                      "CREATE SCHEMA walpipe AUTHORIZATION ROLE");
    return -1;
}

static PGresult *
read_rows(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    static const char what[] = "read walpipe.progress";
    const char *params[] = {pipeline, sink};
    PGresult *rows = pqx_exec_params(
        s->conn, what,
        "SELECT shard, shards, system_identifier, timeline, slot, lsn, partial_commit_lsn "
        "FROM walpipe.progress WHERE pipeline = $1 AND sink = $2 ORDER BY shard",
        2, params, err);

    return pqx_shaped(rows, what, 0, PQX_ROWS, "vvvvvv?", err);
}

static int
differs(struct err *err, const char *what, const char *ours, const char *theirs)
{
    err_set(err, EXIT_REFUSED,
            "walpipe.progress of the target belongs to another source: its %s is %s, this "
            "stream's is %s",
            what, ours, theirs);
    return err_hint(
        err, strcmp(what, "timeline") == 0
                 ? "correct conninfo if this is the primary from before a failover, or an old "
                   "backup; otherwise stop walpipe, run walpipe drop, empty the tables in the "
                   "targets, set copy = yes, and start again, or give the pipeline another name"
                 : "correct conninfo if this is the wrong source; otherwise stop walpipe, run "
                   "walpipe drop, empty the tables in the targets, set copy = yes, and start "
                   "again, or give the pipeline another name");
}

/* A later timeline than the source's is of another history. An earlier one may be its own, and ackd
 * knows where they parted. But a part of a transaction that was written there is not in this
 * history. */
static bool
other_history(const PGresult *rows, int i, uint32_t timeline)
{
    unsigned long theirs = strtoul(PQgetvalue(rows, i, ROW_TIMELINE), NULL, 10);

    return theirs > timeline || (theirs < timeline && !PQgetisnull(rows, i, ROW_PARTIAL_LSN));
}

static int
compare_source(const PGresult *rows, const struct hello *hello, struct err *err)
{
    char system[24], timeline[16];

    snprintf(system, sizeof system, "%" PRIu64, hello->system_identifier);
    snprintf(timeline, sizeof timeline, "%" PRIu32, hello->timeline);
    for (int i = 0; i < PQntuples(rows); i++) {
        if (strcmp(PQgetvalue(rows, i, ROW_SYSTEM), system) != 0)
            return differs(err, "system identifier", PQgetvalue(rows, i, ROW_SYSTEM), system);
        if (other_history(rows, i, hello->timeline))
            return differs(err, "timeline", PQgetvalue(rows, i, ROW_TIMELINE), timeline);
        if (strcmp(PQgetvalue(rows, i, ROW_SLOT), hello->slot) != 0)
            return differs(err, "slot", PQgetvalue(rows, i, ROW_SLOT), hello->slot);
    }
    return 0;
}

/* 0/0 until the first commit, because a new row proves nothing about the target's contents. When a
 * slot was moved, ackd asks for more. */
static int
insert_missing(const struct progress *p, struct session *s, struct err *err)
{
    char shard[16], shards[16], system[24], timeline[16];
    const char *params[] = {p->pipeline, p->hello->sink, shard,         shards,
                            system,      timeline,       p->hello->slot};
    PGresult *result;

    snprintf(shard, sizeof shard, "%" PRIu32, p->hello->shard);
    snprintf(shards, sizeof shards, "%" PRIu32, p->hello->shards);
    snprintf(system, sizeof system, "%" PRIu64, p->hello->system_identifier);
    snprintf(timeline, sizeof timeline, "%" PRIu32, p->hello->timeline);
    result = pqx_exec_params(s->conn, "insert a row into walpipe.progress",
                             "INSERT INTO walpipe.progress (pipeline, sink, shard, shards, "
                             "system_identifier, timeline, slot, epoch, lsn) VALUES ($1, $2, $3, "
                             "$4, $5, $6, $7, 0, '0/0') ON CONFLICT DO NOTHING",
                             7, params, err);
    PQclear(result);
    return result == NULL ? -1 : 0;
}

static int
read_position(const PGresult *row, struct position *position, int64_t *epoch, struct err *err)
{
    *position = (struct position){0};
    if (!lsn_parse(PQgetvalue(row, 0, 1), &position->lsn) ||
        (!PQgetisnull(row, 0, 2) &&
         !lsn_parse(PQgetvalue(row, 0, 2), &position->partial_commit_lsn)))
        return err_set(err, EXIT_REFUSED, "cannot read the positions in walpipe.progress");
    *epoch = strtoll(PQgetvalue(row, 0, 0), NULL, 10);
    position->partial_ordinal = strtoull(PQgetvalue(row, 0, 3), NULL, 10);
    return 0;
}

/* The row is not as this worker left it, after a failover for example. */
static int
explain_row(struct progress *p, struct session *s, struct err *err)
{
    static const char what[] = "look for the row in walpipe.progress";
    char shard[16];
    const char *params[] = {p->pipeline, p->hello->sink, shard};
    PGresult *row;
    bool lost;

    snprintf(shard, sizeof shard, "%" PRIu32, p->hello->shard);
    row = pqx_shaped(pqx_exec_params(s->conn, what,
                                     "SELECT epoch FROM walpipe.progress WHERE pipeline = $1 AND "
                                     "sink = $2 AND shard = $3",
                                     3, params, err),
                     what, 0, 1, "v", err);
    if (row == NULL)
        return -1;
    lost = PQntuples(row) == 0 || strtoll(PQgetvalue(row, 0, 0), NULL, 10) < p->epoch;
    PQclear(row);
    if (!lost)
        return progress_fenced(p, err);
    p->fenced = true;
    err_set(err, EXIT_PEER,
            "the target lost transactions that this worker had committed: the row of pipeline "
            "\"%s\", sink \"%s\", shard %" PRIu32 " in walpipe.progress is an older one",
            p->pipeline, p->hello->sink, p->hello->shard);
    return err_hint(err, "after the restart the log says what to do if changes are missing");
}

/* Raises the epoch. With `only_ours`, only if it is still ours. The row's lock makes this wait for
 * a commit of an older connection that is under way, so the row that is read here is final. */
static int
raise_epoch(struct progress *p, struct session *s, bool only_ours, struct position *found,
            struct err *err)
{
    static const char what[] = "raise the epoch in walpipe.progress";
    char shard[16], epoch[24], one_more[24];
    const char *params[] = {p->pipeline, p->hello->sink, shard, only_ours ? epoch : NULL, one_more};
    PGresult *result;
    int rc;

    snprintf(shard, sizeof shard, "%" PRIu32, p->hello->shard);
    snprintf(epoch, sizeof epoch, "%" PRId64, p->epoch);
    snprintf(one_more, sizeof one_more, "%" PRId64, p->epoch + EPOCH_COMMITTED);
    result = pqx_exec_params(
        s->conn, what,
        "UPDATE walpipe.progress SET epoch = epoch + " EPOCH_TAKEN ", updated_at = "
        "pg_catalog.now() WHERE pipeline = $1 AND sink = $2 AND shard = $3 AND ($4::bigint IS NULL "
        "OR epoch IN ($4::bigint, $5::bigint)) "
        "RETURNING epoch, lsn, partial_commit_lsn, partial_ordinal, timeline",
        5, params, err);
    result = pqx_shaped(result, what, 0, 1, "vv??v", err);
    if (result == NULL)
        return -1;
    if (PQntuples(result) == 1)
        p->timeline = (uint32_t)strtoul(PQgetvalue(result, 0, 4), NULL, 10);
    rc = PQntuples(result) == 1 ? read_position(result, found, &p->epoch, err)
                                : explain_row(p, s, err);
    PQclear(result);
    return rc;
}

static int
start_in_transaction(struct progress *p, struct session *s, struct err *err)
{
    const struct relayout r = {p->pipeline, p->hello, p->layout};
    PGresult *rows;
    bool done;
    int rc;

    /* Workers of a sink start at the same moment, and a dead one's transaction may hold the row. */
    if (session_exec(s, "lock walpipe.progress",
                     "BEGIN; SET LOCAL lock_timeout = '10s'; "
                     "SELECT pg_catalog.pg_advisory_xact_lock("
                     "pg_catalog.hashtextextended('walpipe.progress', 0))",
                     err) != 0 ||
        make_table(s, err) != 0)
        return -1;
    rows = read_rows(s, p->pipeline, p->hello->sink, err);
    if (rows == NULL)
        return -1;
    rc = compare_source(rows, p->hello, err);
    PQclear(rows);
    layers_free(&p->layers);
    if (rc != 0 || relayout(&r, s, &done, err) != 0 ||
        (done ? relayout_layers(&r, s, &p->layers, err) : insert_missing(p, s, err)) != 0 ||
        raise_epoch(p, s, false, &p->durable, err) != 0)
        return -1;
    return session_exec(s, "commit the epoch in walpipe.progress", "COMMIT", err);
}

int
progress_start(struct progress *p, struct session *s, struct err *err)
{
    int rc;

    s->tx_open = true;
    rc = start_in_transaction(p, s, err);
    if (rc != 0)
        session_rollback(s);
    s->tx_open = false;
    return rc;
}

int
progress_resume(struct progress *p, struct session *s, struct progress_found *found,
                struct err *err)
{
    int64_t before = p->epoch;

    if (session_exec(s, "set lock_timeout", "SET lock_timeout = '10s'", err) != 0 ||
        raise_epoch(p, s, true, &found->position, err) != 0)
        return -1;
    found->one_more |= ((p->epoch - before) & EPOCH_COMMITTED) != 0;
    return session_exec(s, "set lock_timeout", "SET lock_timeout = 0", err);
}

static bool
is_prepared(const struct progress *p, const struct session *s)
{
    return p->generation == s->generation && p->update.state != STMT_NEW;
}

static int
queue_sql(struct progress *p, struct pipe *pipe, const struct buf *oids, struct err *err)
{
    static const Oid types[] = {OID_TEXT, OID_TEXT, OID_INT4, OID_PG_LSN,     OID_PG_LSN,
                                OID_INT8, OID_INT8, OID_INT8, OID_TIMESTAMPTZ};
    const char *sql;

    buf_reset(&p->sql, 1u << 16);
    sqltext_add(&p->sql, UPDATE_ROW, (int)buf_len(oids),
                oids->data == NULL ? "" : (const char *)oids->data);
    sql = sqltext_get(&p->sql);
    if (sql == NULL || oids->failed)
        return err_set(err, EXIT_PEER, "out of memory for the watched tables");
    return pipe_prepare(pipe, &p->update, sql, 9, types, err);
}

/* Prepares it again when more is watched, and by a new name, because a pipeline that fails may have
 * run a part of it. */
static int
prepare_update(struct progress *p, struct pipe *pipe, const struct watch *watch, struct err *err)
{
    struct session *s = pipe->session;
    size_t watched = buf_len(&watch->oids);
    char deallocate[64];

    snprintf(deallocate, sizeof deallocate, "DEALLOCATE %s", p->update.name);
    if (is_prepared(p, s)) {
        if (p->watched == watched)
            return 0;
        if (pipe_command(pipe, STEP_COMMAND, deallocate, err) != 0)
            return -1;
    }
    p->generation = s->generation;
    p->watched = watched;
    p->update = (struct stmt){0};
    snprintf(p->update.name, sizeof p->update.name, "walpipe_p%" PRIu64, ++s->names);
    return queue_sql(p, pipe, &watch->oids, err);
}

int
progress_queue(struct progress *p, struct pipe *pipe, const struct position *to,
               const struct watch *watch, bool ask, struct err *err)
{
    char shard[16], ordinal[24], epoch[24], timeline[16];
    struct lsn_text lsn = lsn_format(to->lsn), partial = lsn_format(to->partial_commit_lsn);
    bool whole = to->partial_commit_lsn == 0;
    const char *values[] = {p->pipeline,
                            p->hello->sink,
                            shard,
                            lsn.text,
                            whole ? NULL : partial.text,
                            whole ? NULL : ordinal,
                            epoch,
                            timeline,
                            ask ? watch->since : NULL};

    snprintf(timeline, sizeof timeline, "%" PRIu32, p->hello->timeline);
    snprintf(shard, sizeof shard, "%" PRIu32, p->hello->shard);
    snprintf(ordinal, sizeof ordinal, "%" PRIu64, to->partial_ordinal);
    snprintf(epoch, sizeof epoch, "%" PRId64, p->epoch);
    if (prepare_update(p, pipe, watch, err) != 0)
        return -1;
    return pipe_execute(pipe, ask ? STEP_WATCH : STEP_PROGRESS, 0, &p->update, 9, values, NULL,
                        NULL, err);
}

int
progress_fenced(struct progress *p, struct err *err)
{
    p->fenced = true;
    err_set(err, EXIT_PEER,
            "another walpipe took over: the row of pipeline \"%s\", sink \"%s\", shard %" PRIu32
            " in walpipe.progress has another epoch",
            p->pipeline, p->hello->sink, p->hello->shard);
    return err_hint(err, "nothing of this worker's open transaction was kept");
}

void
progress_committed(struct progress *p, const struct position *to)
{
    p->durable = *to;
    p->epoch += EPOCH_COMMITTED;
}

int
progress_hold(struct progress *p, struct session *s, struct err *err)
{
    static const char what[] = "lock the row in walpipe.progress";
    char shard[16], epoch[24];
    const char *params[] = {p->pipeline, p->hello->sink, shard, epoch};
    PGresult *row;
    bool ours;

    snprintf(shard, sizeof shard, "%" PRIu32, p->hello->shard);
    snprintf(epoch, sizeof epoch, "%" PRId64, p->epoch);
    row = pqx_exec_params(s->conn, what,
                          "SELECT FROM walpipe.progress WHERE pipeline = $1 AND sink = $2 "
                          "AND shard = $3 AND epoch = $4 FOR UPDATE",
                          4, params, err);
    if (row == NULL)
        return -1;
    ours = PQntuples(row) == 1;
    PQclear(row);
    return ours ? 0 : progress_fenced(p, err);
}

void
progress_free(struct progress *p)
{
    layers_free(&p->layers);
    buf_free(&p->sql);
}

int
progress_fence(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    const char *params[] = {pipeline, sink};

    return session_run(s, "raise the epoch in walpipe.progress",
                       "UPDATE walpipe.progress SET epoch = epoch + " EPOCH_TAKEN
                       ", updated_at = pg_catalog.now() WHERE pipeline = $1 AND sink = $2",
                       2, params, err);
}

int
progress_drop(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    const char *params[] = {pipeline, sink};
    PGresult *result;
    bool exists;

    if (owntables_exist(s, "progress", &exists, err) != 0)
        return -1;
    if (!exists)
        return 0;
    result = pqx_exec_params(s->conn, "delete from walpipe.progress",
                             "DELETE FROM walpipe.progress WHERE pipeline = $1 AND sink = $2", 2,
                             params, err);
    PQclear(result);
    return result == NULL ? -1 : relayout_drop(s, pipeline, sink, err);
}

static int
check_rows(struct session *s, const char *pipeline, const struct hello *hello, char *message,
           size_t size, struct err *err)
{
    const struct relayout r = {.pipeline = pipeline, .hello = hello};
    PGresult *rows = read_rows(s, pipeline, hello->sink, err);
    int rc;

    if (rows == NULL)
        return -1;
    rc = compare_source(rows, hello, err);
    if (rc == 0)
        rc = relayout_check(&r, s, err);
    if (PQntuples(rows) == 0 || strcmp(PQgetvalue(rows, 0, ROW_LSN), "0/0") == 0)
        snprintf(message, size, "walpipe.progress has no position yet: a new sink");
    else
        snprintf(message, size, "walpipe.progress: %d row(s), from %s on", PQntuples(rows),
                 PQgetvalue(rows, 0, ROW_LSN));
    PQclear(rows);
    return rc;
}

static int
check_permission_to_create(struct session *s, char *message, size_t size, struct err *err)
{
    static const char what[] = "ask for privileges";
    PGresult *result =
        pqx_exec(s->conn, what,
                 "SELECT CASE WHEN pg_catalog.to_regnamespace('walpipe') IS NULL "
                 "THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') "
                 "ELSE pg_catalog.has_schema_privilege('walpipe', 'CREATE') END",
                 err);
    bool may;

    result = pqx_shaped(result, what, 1, 1, "v", err);
    if (result == NULL)
        return -1;
    may = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    snprintf(message, size, "walpipe.progress does not exist yet and will be created");
    if (may)
        return 0;
    err_set(err, EXIT_REFUSED, "walpipe.progress does not exist and the role may not create it");
    return err_hint(err, "grant CREATE on the database to the role, or make the schema with "
                         "CREATE SCHEMA walpipe AUTHORIZATION ROLE");
}

int
progress_check(struct session *s, const char *pipeline, const struct hello *hello, char *message,
               size_t size, struct err *err)
{
    bool exists;

    if (owntables_exist(s, "progress", &exists, err) != 0)
        return -1;
    return exists ? check_rows(s, pipeline, hello, message, size, err)
                  : check_permission_to_create(s, message, size, err);
}
