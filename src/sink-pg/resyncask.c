/* resyncask.c: see resyncask.h. A worker makes the rest of the notes of it when it loads them. */
#include "sink-pg/resyncask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/copyresync.h"
#include "lib/pqmark.h"
#include "sink-pg/notetables.h"
#include "sink-pg/owntables.h"
#include "sink-pg/park.h"
#include "sink-pg/progress.h"
#include "sink-pg/resync.h"

/* ---- the table ---- */

/* As a worker would. */
static int
check(struct session *s, const struct resyncask *ask, const struct copying *known,
      const struct relation *relation, const struct intake *in, struct err *err)
{
    struct tables tables = {.mapping = ask->map};
    struct staging staging = {.pipeline = ask->pipeline, .sink = ask->sink, .tables = &tables};
    struct resync resync = {.staging = &staging, .copying = known, .session = s};

    if (pqmark_find(s->conn, &in->hello.run_id, &tables.target_is_source, err) != 0)
        return -1;
    return resync_check(&resync, relation, err);
}

/* ---- the notes ---- */

/* Each has all five parameters: pipeline, sink, relid, schema and name. */
#define TYPED                                                                                      \
    "$1::text IS NOT NULL AND $2::text IS NOT NULL AND $3::oid IS NOT NULL AND "                   \
    "$4::text IS NOT NULL AND $5::text IS NOT NULL"

static const char *const steps[] = {
    "DELETE FROM walpipe.missing WHERE pipeline = $1 AND sink = $2 AND relid IN (SELECT relid "
    "FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND (relid = $3::oid OR (schema = $4 "
    "AND name = $5))) AND " TYPED,
    "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid NOT IN (0, $3::oid) "
    "AND schema = $4 AND name = $5 AND " TYPED,
    "UPDATE walpipe.tables SET state = CASE WHEN state LIKE 'out-%' THEN 'out-resync' "
    "ELSE 'resync' END, l0 = '0/0', file = 0, done = '', rows = 0, updated_at = pg_catalog.now() "
    "WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid AND " TYPED,
    "INSERT INTO walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, layout) "
    "SELECT $1, $2, $3::oid, 0, 0, $4, $5, 'resync', 0 WHERE NOT EXISTS (SELECT FROM "
    "walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid) AND " TYPED};

static int
ask_bool(struct session *s, const char *what, const char *sql, int count, const char *const *params,
         bool *yes, struct err *err)
{
    PGresult *row =
        pqx_shaped(pqx_exec_params(s->conn, what, sql, count, params, err), what, 1, 1, "v", err);

    if (row == NULL)
        return -1;
    *yes = PQgetvalue(row, 0, 0)[0] == 't';
    PQclear(row);
    return 0;
}

/* A sink that has followed the source without copies gets its notes with the resync's. The first
 * start of another sink copies all tables. */
static int
require_begun(struct session *s, const struct resyncask *ask, struct err *err)
{
    const char *params[] = {ask->pipeline, ask->sink};
    bool begun = false, noted = false;

    if (owntables_exist(s, "progress", &begun, err) != 0 || notetables_exist(s, &noted, err) != 0)
        return -1;
    if (begun && !noted &&
        ask_bool(s, "read walpipe.progress",
                 "SELECT EXISTS (SELECT FROM walpipe.progress WHERE pipeline = $1 AND sink = $2 "
                 "AND lsn > '0/0')",
                 2, params, &begun, err) != 0)
        return -1;
    return begun ? 0 : copyresync_refuse_new(ask->sink, err);
}

/* A worker that lives can commit nothing more once the epoch is raised. */
static int
note(struct session *s, const struct resyncask *ask, uint32_t oid, struct err *err)
{
    const struct staging staging = {.pipeline = ask->pipeline, .sink = ask->sink};
    char relid[16];
    const char *params[] = {ask->pipeline, ask->sink, relid, ask->table.schema, ask->table.table};

    snprintf(relid, sizeof relid, "%" PRIu32, oid);
    if (session_exec(s, "lock walpipe.tables",
                     "BEGIN; SET LOCAL lock_timeout = '10s'; "
                     "SELECT pg_catalog.pg_advisory_xact_lock("
                     "pg_catalog.hashtextextended('walpipe.progress', 0))",
                     err) != 0 ||
        progress_fence(s, ask->pipeline, ask->sink, err) != 0 || notetables_make(s, err) != 0 ||
        park_resume(s, ask->pipeline, ask->sink, oid, err) != 0 ||
        staging_drop(&staging, s, oid, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        PGresult *result =
            pqx_exec_params(s->conn, "write walpipe.tables", steps[i], 5, params, err);

        PQclear(result);
        if (result == NULL)
            return -1;
    }
    return session_exec(s, "commit walpipe.tables", "COMMIT", err);
}

int
resyncask_note(struct session *s, const struct resyncask *ask, int in, struct err *err)
{
    struct copying known = {0};
    struct relation relation = {0};
    struct intake intake;
    int rc = -1;

    intake_init(&intake, in);
    if (require_begun(s, ask, err) == 0 && intake_hello(&intake, err) == 0 &&
        copyresync_read(&known, &relation, &intake, ask->sink, &ask->table, err) == 0 &&
        check(s, ask, &known, &relation, &intake, err) == 0)
        rc = note(s, ask, relation.relid, err);
    relation_free(&relation);
    copying_free(&known);
    intake_free(&intake);
    return rc;
}
