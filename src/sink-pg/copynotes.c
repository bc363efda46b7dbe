/* copynotes.c: see copynotes.h. Must not decide the next step of a copy. */
#include "sink-pg/copynotes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copyresync.h"
#include "lib/layout.h"
#include "lib/lsn.h"
#include "sink-pg/behind.h"
#include "sink-pg/copytarget.h"
#include "sink-pg/mapping.h"
#include "sink-pg/notetables.h"
#include "sink-pg/ownrows.h"
#include "sink-pg/plan.h"
#include "sink-pg/sqltext.h"

enum { PARAMS_MAX = 18 };

/* The parameters with which every statement begins, which are pipeline, sink, shard, shards and
 * layout. */
struct params {
    const char *list[PARAMS_MAX + KEYLIST_COLUMNS_MAX];
    char shard[16], shards[16], layout[24];
};
enum { PARAMS_OWN = 5 };

static int
fill_params(const struct copynotes *n, struct params *p, struct err *err)
{
    uint64_t hash;

    if (layout_hash(n->layout, &hash) != 0)
        return err_set(err, EXIT_PEER, "out of memory for the layout");
    snprintf(p->shard, sizeof p->shard, "%" PRIu32, n->hello->shard);
    snprintf(p->shards, sizeof p->shards, "%" PRIu32, n->hello->shards);
    snprintf(p->layout, sizeof p->layout, "%" PRId64, (int64_t)hash);
    p->list[0] = n->pipeline;
    p->list[1] = n->hello->sink;
    p->list[2] = p->shard;
    p->list[3] = p->shards;
    p->list[4] = p->layout;
    return 0;
}

/* Runs a statement that returns no rows. */
static int
run(struct session *s, const char *what, const char *sql, int count, const struct params *p,
    struct err *err)
{
    return session_run(s, what, sql, count, p->list, err);
}

static int
ask_bool(struct session *s, const char *what, const char *sql, int count, const char *const *params,
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

/* ---- the start ---- */

/* Changes that were applied before there were notes belong to tables that are streaming. */
static const char add_sink[] =
    "INSERT INTO walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, layout) "
    "SELECT $1, $2, 0, 0, 0, '*', '*', CASE WHEN EXISTS (SELECT FROM walpipe.progress "
    "WHERE pipeline = $1 AND sink = $2 AND lsn > '0/0') THEN 'streaming' ELSE 'waiting' END, "
    "$5::bigint WHERE $3::integer IS NOT NULL AND $4::integer IS NOT NULL ON CONFLICT DO NOTHING";

/* Under another layout a worker has other rows. A physical table that some worker has not finished
 * is not finished. It is not known which parts of it the present workers have finished. */
static const char unite[] =
    "UPDATE walpipe.tables AS t SET layout = $5::bigint, "
    "state = CASE WHEN u.all_streaming OR t.state <> 'streaming' THEN t.state ELSE 'copying' END, "
    "done = CASE WHEN u.all_streaming THEN t.done ELSE '' END "
    "FROM (SELECT relid, part, "
    "pg_catalog.bool_and(state IN ('streaming', 'out-streaming')) AS all_streaming "
    "FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 GROUP BY relid, part) AS u "
    "WHERE t.pipeline = $1 AND t.sink = $2 AND u.relid = t.relid AND u.part = t.part "
    "AND t.layout <> $5::bigint AND $3::integer IS NOT NULL AND $4::integer IS NOT NULL";

/* Not the stand-in for a table whose parts are not known: a worker that runs already would never
 * replace it. */
/* For this worker alone. Another one that has begun would not know of its note. */
static const char add_worker[] =
    "INSERT INTO walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, l0, "
    "file, definition, layout, target) SELECT DISTINCT ON (relid, part) $1, $2, relid, part, "
    "$3::integer, schema, name, state, l0, file, definition, $5::bigint, target "
    "FROM walpipe.tables "
    "WHERE pipeline = $1 AND sink = $2 AND relid <> 0 AND $4::integer IS NOT NULL "
    "ORDER BY relid, part, shard ON CONFLICT DO NOTHING";

/* A single worker may have skipped changes of it, and this worker may not exist any more. */
static const char leave_out[] =
    "UPDATE walpipe.tables AS t SET state = 'out-' || state WHERE pipeline = $1 AND sink = $2 "
    "AND shard = $3::integer AND state NOT LIKE 'out-%' AND EXISTS (SELECT FROM walpipe.tables AS "
    "o "
    "WHERE o.pipeline = $1 AND o.sink = $2 AND o.relid = t.relid AND o.part = t.part "
    "AND o.state LIKE 'out-%') AND $4::integer IS NOT NULL AND $5::bigint IS NOT NULL";

/* If one worker follows a table, others must not pass over its changes. A row may have come to the
 * worker that now goes to another. */
static const char follow_all[] =
    "UPDATE walpipe.tables AS t SET state = 'copying' WHERE pipeline = $1 AND sink = $2 "
    "AND relid <> 0 AND state = 'waiting' AND EXISTS (SELECT FROM walpipe.tables AS o "
    "WHERE o.pipeline = $1 AND o.sink = $2 AND o.relid = t.relid "
    "AND o.state NOT IN ('waiting', 'out-waiting')) "
    "AND $3::integer IS NOT NULL AND $4::integer IS NOT NULL AND $5::bigint IS NOT NULL";

/* The entry for a table whose parts are known. */
static const char drop_stand_ins[] =
    "DELETE FROM walpipe.tables AS t WHERE pipeline = $1 AND sink = $2 AND relid <> 0 AND part = 0 "
    "AND EXISTS (SELECT FROM walpipe.tables AS o WHERE o.pipeline = $1 AND o.sink = $2 "
    "AND o.relid = t.relid AND o.part <> 0) "
    "AND $3::integer IS NOT NULL AND $4::integer IS NOT NULL AND $5::bigint IS NOT NULL";

/* A streaming table without a life misses the keys of partitions that came. The next list's life
 * reads them. The target keeps its rows, so a table that was never copied must not get the position
 * of this life, as if it had all rows from there. */
static const char read_missing_keys[] =
    "UPDATE walpipe.tables AS t SET state = 'copying', "
    "l0 = CASE WHEN l0 = '0/0' THEN '0/1' ELSE l0 END WHERE pipeline = $1 AND sink = $2 "
    "AND shard = $3::integer AND state = 'streaming' AND relid <> 0 AND EXISTS "
    "(SELECT FROM walpipe.missing AS m WHERE m.pipeline = $1 AND m.sink = $2 "
    "AND m.relid = t.relid AND (m.shard = $3::integer OR ($3::integer = 0 "
    "AND m.shard >= $4::integer))) AND $5::bigint IS NOT NULL";

static const char drop_workers[] =
    "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND shard >= $4::integer "
    "AND $3::integer IS NOT NULL AND $5::bigint IS NOT NULL";

/* And that for all tables, which shard 0 writes. */
static const char read_own[] =
    "SELECT relid, part, schema, name, state, l0, file, definition, done, rows, target, "
    "EXISTS (SELECT FROM walpipe.tables AS o WHERE o.pipeline = $1 AND o.sink = $2 "
    "AND o.relid = t.relid AND o.behind) "
    "FROM walpipe.tables AS t WHERE pipeline = $1 AND sink = $2 "
    "AND (shard = $3::integer OR relid = 0) AND $4::integer IS NOT NULL "
    "AND $5::bigint IS NOT NULL ORDER BY relid DESC, part";

static uint64_t
number(const PGresult *rows, int row, int column)
{
    return strtoull(PQgetvalue(rows, row, column), NULL, 10);
}

static int
check_target(const struct copynotes *n, const struct copying *c, struct copypart *part,
             const char *noted, struct err *err)
{
    struct buf target = {0};
    int rc;

    mapping_target_sql(n->map, part->schema, part->name, &target);
    rc = sqltext_get(&target) == NULL ? err_set(err, EXIT_PEER, "out of memory for a table's name")
                                      : copyparts_target(c, part, noted, sqltext_get(&target), err);
    buf_free(&target);
    return rc;
}

static int
take_part(struct copying *c, const struct copypart *part, struct err *err)
{
    struct copypart *added = copyparts_add(c, part);

    if (added == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
    if (added->changed)
        copyparts_changed(c, added);
    return 0;
}

static int
take_row(const struct copynotes *n, const PGresult *rows, int row, struct copying *c,
         struct err *err)
{
    struct copypart part = {.relid = (uint32_t)number(rows, row, 0),
                            .part = (uint32_t)number(rows, row, 1),
                            .file = (uint32_t)number(rows, row, 6),
                            .rows = number(rows, row, 9),
                            .noted = true,
                            .behind = PQgetvalue(rows, row, 11)[0] == 't'};
    struct bytes done = {.data = (const uint8_t *)PQgetvalue(rows, row, 8),
                         .len = (size_t)PQgetlength(rows, row, 8)};

    snprintf(part.schema, sizeof part.schema, "%s", PQgetvalue(rows, row, 2));
    snprintf(part.name, sizeof part.name, "%s", PQgetvalue(rows, row, 3));
    snprintf(part.definition, sizeof part.definition, "%s", PQgetvalue(rows, row, 7));
    if (!copyparts_read_state(PQgetvalue(rows, row, 4), &part) ||
        !lsn_parse(PQgetvalue(rows, row, 5), &part.l0))
        return err_set(err, EXIT_REFUSED, "cannot read the state of %s.%s in walpipe.tables",
                       part.schema, part.name);
    if (part.relid == 0) {
        c->carried_over = part.state == COPY_STREAMING;
        c->attached = part.state == COPY_RESYNC;
        return 0;
    }
    if (behind_require_resync(&part, err) != 0 ||
        check_target(n, c, &part, PQgetvalue(rows, row, 10), err) != 0 ||
        spans_parse(&part.done, done, err) != 0)
        return -1;
    if (take_part(c, &part, err) == 0)
        return 0;
    spans_free(&part.done);
    return -1;
}

static int
read_notes(const struct copynotes *n, struct session *s, const struct params *p, struct copying *c,
           struct err *err)
{
    static const char what[] = "read walpipe.tables";
    PGresult *rows = pqx_exec_params(s->conn, what, read_own, PARAMS_OWN, p->list, err);
    int rc = 0;

    rows = pqx_shaped(rows, what, 0, PQX_ROWS, "vvvvvvvvvvvv", err);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows) && rc == 0; i++)
        rc = take_row(n, rows, i, c, err);
    PQclear(rows);
    return rc;
}

/* What was staged of a table that is parked is void, and takes room. */
static int
drop_void(const struct copynotes *n, struct session *s, const struct copying *c, struct err *err)
{
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->parked && part == copyparts_first(c, part->relid) && n->hello->shard == 0 &&
            staging_drop(n->staging, s, part->relid, err) != 0)
            return -1;
    return 0;
}

static int
load(struct copynotes *n, struct session *s, struct copying *c, struct err *err)
{
    static const char *const steps[] = {add_sink,  drop_stand_ins, unite,        add_worker,
                                        leave_out, follow_all,     drop_workers, read_missing_keys};
    struct params p;

    if (fill_params(n, &p, err) != 0 ||
        session_exec(s, "lock walpipe.tables",
                     "BEGIN; SET LOCAL lock_timeout = '10s'; "
                     "SELECT pg_catalog.pg_advisory_xact_lock("
                     "pg_catalog.hashtextextended('walpipe.progress', 0))",
                     err) != 0 ||
        notetables_make(s, err) != 0 || copyheld_make(s, err) != 0 ||
        park_load(&n->park, s, err) != 0 || staging_load(n->staging, s, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (run(s, "bring walpipe.tables up to date", steps[i], PARAMS_OWN, &p, err) != 0)
            return -1;
    if (read_notes(n, s, &p, c, err) != 0 || staging_recall(n->staging, s, c, err) != 0 ||
        park_recall(&n->park, s, c, err) != 0 || drop_void(n, s, c, err) != 0 ||
        copyheld_load(n->held, s, c, err) != 0 || copymissing_look(&n->missing, s, err) != 0)
        return -1;
    return session_exec(s, "commit walpipe.tables", "COMMIT", err);
}

int
copynotes_load(struct copynotes *n, struct session *s, struct copying *c, struct err *err)
{
    int rc;

    s->tx_open = true;
    rc = load(n, s, c, err);
    if (rc != 0)
        session_rollback(s);
    s->tx_open = false;
    return rc;
}

/* Tables that come without a copy from now on are streaming, also for add_sink. */
static int
forget_default(struct session *s, const char *const *params, struct err *err)
{
    PGresult *result = pqx_exec_params(
        s->conn, "delete from walpipe.tables",
        "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid = 0", 2, params,
        err);

    PQclear(result);
    return result == NULL ? -1 : 0;
}

/* As copying_begin does it, where a list never comes. */
static int
begin_read(const struct copynotes *n, struct session *s, struct err *err)
{
    char read[COPYDEFINITION_READ_LEN + 1];
    const char *params[] = {n->pipeline, n->hello->sink, read};
    PGresult *result;

    copying_name_read(n->hello, read);
    result = pqx_exec_params(
        s->conn, "write walpipe.tables",
        "UPDATE walpipe.tables SET state = CASE WHEN definition ~ ' u[0-9a-f]{8}$' "
        "THEN 'out-' || state ELSE state END, "
        "definition = pg_catalog.regexp_replace(definition, ' s[0-9a-f]{8}$', ' u' || $3::text) "
        "WHERE pipeline = $1 AND sink = $2 AND relid <> 0 AND state NOT LIKE 'out-%' "
        "AND definition ~ ' [su][0-9a-f]{8}$' AND pg_catalog.right(definition, 8) <> $3::text",
        3, params, err);
    PQclear(result);
    return result == NULL ? -1 : 0;
}

int
copynotes_require_none(struct copynotes *n, struct session *s, struct err *err)
{
    static const char what[] = "read walpipe.tables";
    const char *params[] = {n->pipeline, n->hello->sink};
    PGresult *rows;
    bool exist;

    if (park_require_none(&n->park, s, err) != 0 || notetables_exist(s, &exist, err) != 0)
        return -1;
    n->exist = exist;
    if (!exist)
        return 0;
    rows = pqx_exec_params(
        s->conn, what,
        "SELECT schema, name FROM walpipe.tables WHERE pipeline = $1 "
        "AND sink = $2 AND (state = 'resync' OR (state IN ('waiting', 'copying') AND relid <> 0)) "
        "ORDER BY relid DESC LIMIT 1",
        2, params, err);
    rows = pqx_shaped(rows, what, 0, 1, "vv", err);
    if (rows == NULL)
        return -1;
    exist = PQntuples(rows) == 1;
    if (exist)
        copyresync_refuse_unfinished(PQgetvalue(rows, 0, 0), PQgetvalue(rows, 0, 1), err);
    PQclear(rows);
    return exist || forget_default(s, params, err) != 0 ? -1 : begin_read(n, s, err);
}

int
copynotes_leave_out(const struct copynotes *n, struct session *s, uint32_t relid, struct err *err)
{
    char oid[16], shard[16];
    const char *params[] = {n->pipeline, n->hello->sink, oid, shard};
    PGresult *result;

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    snprintf(shard, sizeof shard, "%" PRIu32, n->hello->shard);
    result = pqx_exec_params(
        s->conn, "write walpipe.tables",
        "UPDATE walpipe.tables SET state = 'out-' || state, updated_at = pg_catalog.now() "
        "WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid AND shard = $4::integer "
        "AND state NOT LIKE 'out-%'",
        4, params, err);
    PQclear(result);
    return result == NULL ? -1 : 0;
}

/* ---- notes ---- */

static int
ask_empty(const struct copynotes *n, struct session *s, uint32_t relid, const char *target,
          const char *rows, bool *yes, struct err *err)
{
    char oid[16];
    const char *params[] = {n->pipeline, n->hello->sink, oid, target};
    struct buf sql = {0};
    int rc;

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    sqltext_add(&sql,
                "SELECT EXISTS (SELECT FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 "
                "AND relid = $3::oid AND state NOT IN ('waiting', 'out-waiting') "
                "AND target IN ('', $4)) OR NOT EXISTS (SELECT FROM %s)",
                rows);
    rc = sqltext_get(&sql) == NULL
             ? err_set(err, EXIT_PEER, "out of memory for a query")
             : ask_bool(s, "look whether a table is empty", sqltext_get(&sql), 4, params, yes, err);
    buf_free(&sql);
    return rc;
}

/* The rows of a table that had this name when it was noted. */
static int
refuse_renamed(const struct copynotes *n, struct session *s, const struct copying *c,
               const struct copypart *part, const char *target, struct err *err)
{
    char oid[16];
    const char *params[] = {n->pipeline, n->hello->sink, oid, target, part->schema, part->name};
    bool theirs;

    snprintf(oid, sizeof oid, "%" PRIu32, part->relid);
    if (ask_bool(s, "look whose rows a table has",
                 "SELECT EXISTS (SELECT FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 "
                 "AND relid <> $3::oid AND target = $4 AND schema = $5 AND name = $6 "
                 "AND state IN ('copying', 'streaming', 'resync'))",
                 6, params, &theirs, err) != 0)
        return -1;
    if (!theirs)
        return 0;
    err_set(err, EXIT_REFUSED,
            "%s.%s is to be copied, and its target has the rows of another table, which had this "
            "name before",
            part->schema, part->name);
    return err_hint(err, "%s", c->renamed_hint);
}

static int
require_table(struct session *s, const char *target, const char *schema, const char *name,
              struct err *err)
{
    const char *params[] = {target};
    char label[2 * NAME_MAX_BYTES + 2];
    bool there;

    if (ask_bool(s, "look for a table", "SELECT pg_catalog.to_regclass($1) IS NOT NULL", 1, params,
                 &there, err) != 0)
        return -1;
    snprintf(label, sizeof label, "%s.%s", schema, name);
    return there ? 0 : plan_refuse_missing(label, err);
}

/* Rows there are ours if another worker is beyond waiting. Both in one query, because that worker
 * has noted everything before it wrote it into the table. */
static int
require_empty(const struct copynotes *n, struct session *s, const struct copying *c,
              const struct copypart *part, const char *target, struct err *err)
{
    const char *schema, *name;
    struct buf rows = {0};
    bool ours = true;
    int rc;

    mapping_target(n->map, part->schema, part->name, &schema, &name);
    rc = require_table(s, target, schema, name, err);
    if (rc == 0)
        rc = ownrows_name(s, schema, name, &rows, err);
    if (rc == 0)
        rc = ask_empty(n, s, part->relid, target, sqltext_get(&rows), &ours, err);
    buf_free(&rows);
    if (rc != 0)
        return -1;
    if (ours)
        return 0;
    return refuse_renamed(n, s, c, part, target, err) != 0
               ? -1
               : copynotes_refuse_rows(schema, name, err);
}

int
copynotes_refuse_rows(const char *schema, const char *name, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s.%s", schema, name);
    err_set(err, EXIT_REFUSED, "%s.%s is to be copied and has rows already", schema, name);
    return err_hint(err, "if nothing else writes to it, empty it and start again, or let walpipe "
                         "resync replace its rows; or, if the sink's tables have the source's rows "
                         "as of the creation of the slot, set copy = no in the sink");
}

/* A note that was there and is not any more was removed by a worker for which the table is gone. It
 * must not come back, since the table may be a new one by then. */
static int
write_note(struct session *s, const struct copypart *part, const char *target, struct params *p,
           struct err *err)
{
    static const char upsert[] =
        "INSERT INTO walpipe.tables AS t (pipeline, sink, shard, relid, part, schema, name, state, "
        "l0, file, definition, done, rows, layout, target, behind) "
        "SELECT $1, $2, $3::integer, "
        "$6::oid, $7::oid, $8, $9, $10, $11::pg_lsn, $12::oid, $13, $14, $15::bigint, $5::bigint, "
        "$17, $18::boolean "
        "WHERE $4::integer IS NOT NULL AND ($16::boolean OR EXISTS (SELECT FROM walpipe.tables "
        "WHERE pipeline = $1 AND sink = $2 AND shard = $3::integer AND relid = $6::oid "
        "AND part = $7::oid FOR UPDATE)) "
        "ON CONFLICT (pipeline, sink, relid, part, shard) DO UPDATE SET schema = EXCLUDED.schema, "
        "name = EXCLUDED.name, state = EXCLUDED.state, l0 = EXCLUDED.l0, file = EXCLUDED.file, "
        "definition = EXCLUDED.definition, done = EXCLUDED.done, rows = EXCLUDED.rows, "
        "layout = EXCLUDED.layout, target = EXCLUDED.target, "
        "updated_at = pg_catalog.now(), "
        "behind = (t.behind OR EXCLUDED.behind) AND EXCLUDED.state IN ('resync', 'out-resync')";
    char relid[16], oid[16], file[16], rows[24];
    struct lsn_text l0 = lsn_format(part->l0);
    struct buf done = {0};
    int rc;

    snprintf(relid, sizeof relid, "%" PRIu32, part->relid);
    snprintf(oid, sizeof oid, "%" PRIu32, part->part);
    snprintf(file, sizeof file, "%" PRIu32, part->file);
    snprintf(rows, sizeof rows, "%" PRIu64, part->rows);
    spans_print(&part->done, &done);
    p->list[5] = relid;
    p->list[6] = oid;
    p->list[7] = part->schema;
    p->list[8] = part->name;
    p->list[9] = copyparts_state_text(part);
    p->list[10] = l0.text;
    p->list[11] = file;
    p->list[12] = part->definition;
    p->list[13] = sqltext_get(&done);
    p->list[14] = rows;
    p->list[15] = part->noted ? "f" : "t";
    p->list[16] = target;
    p->list[17] = part->behind && part->state == COPY_RESYNC ? "t" : "f";
    rc = p->list[13] == NULL ? err_set(err, EXIT_PEER, "out of memory for finished ranges")
                             : run(s, "write walpipe.tables", upsert, 18, p, err);
    buf_free(&done);
    return rc;
}

static bool
is_last(const struct copypart *part, const struct copying *c)
{
    const struct copypart *at = copyparts_first(c, part->relid);

    while (at != NULL && (at->gone || !at->noted))
        at = at->table_next;
    return at == NULL;
}

/* With the table's last note go those of the other workers: if the table comes back, they must not
 * stand for it. A worker that has noted the new one already has no definition yet. Part 0 is the
 * note of a table whose parts were not known, which goes when they are. */
static int
remove_note(const struct copynotes *n, struct session *s, const struct copypart *part,
            const struct copying *c, struct params *p, struct err *err)
{
    char relid[16], oid[16];

    snprintf(relid, sizeof relid, "%" PRIu32, part->relid);
    snprintf(oid, sizeof oid, "%" PRIu32, part->part);
    p->list[5] = relid;
    p->list[6] = oid;
    p->list[7] = is_last(part, c) ? "t" : "f";
    if (part->state == COPY_RESYNC && is_last(part, c) &&
        staging_drop(n->staging, s, part->relid, err) != 0)
        return -1;
    return run(s, "delete from walpipe.tables",
               "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid = $6::oid "
               "AND ((shard = $3::integer AND part = $7::oid) OR ($8::boolean AND $7::oid <> 0 "
               "AND definition <> '')) AND $4::integer IS NOT NULL AND $5::bigint IS NOT NULL",
               8, p, err);
}

/* A key that has become missing since pg-table-read last asked. */
static int
keep_copying(const struct copynotes *n, struct session *s, struct copypart *part, struct err *err)
{
    buf_reset(&part->missing, 1u << 16);
    if (copymissing_read(&n->missing, s, part->relid, &part->missing, err) != 0)
        return -1;
    part->state = buf_len(&part->missing) > 0 ? COPY_COPYING : COPY_STREAMING;
    return 0;
}

static int
write_part(const struct copynotes *n, struct session *s, const struct copying *c,
           struct copypart *part, const char *target, struct params *p, struct err *err)
{
    if (part->state == COPY_NEW && !part->out && require_empty(n, s, c, part, target, err) != 0)
        return -1;
    if (part->ended_life != 0 && !part->keyless && !part->all_read &&
        keep_copying(n, s, part, err) != 0)
        return -1;
    return write_note(s, part, target, p, err);
}

static int
write_changed(const struct copynotes *n, struct session *s, struct copying *c,
              struct copypart *part, struct params *p, struct err *err)
{
    const struct relation relation = {
        .relid = part->relid, .schema = part->schema, .name = part->name};
    const struct copytarget owner = {.pipeline = n->pipeline, .hello = n->hello, .map = n->map};
    struct buf target = {0};
    int rc;

    mapping_target_sql(n->map, part->schema, part->name, &target);
    if (sqltext_get(&target) == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table's name");
    rc = part->renamed ? copytarget_check(&owner, s, c, &relation, err) : 0;
    if (rc == 0)
        rc = write_part(n, s, c, part, sqltext_get(&target), p, err);
    if (rc != 0)
        err->culprit = part->relid;
    buf_free(&target);
    return rc;
}

/* Every table has a note of its own now. */
static int
every_table_is_noted(struct session *s, const struct params *p, struct err *err)
{
    return run(s, "write walpipe.tables",
               "UPDATE walpipe.tables SET state = 'waiting' WHERE pipeline = $1 AND sink = $2 "
               "AND relid = 0 AND $3::integer = 0 AND $4::integer IS NOT NULL "
               "AND $5::bigint IS NOT NULL",
               PARAMS_OWN, p, err);
}

int
copynotes_write(const struct copynotes *n, struct session *s, struct copying *c, struct err *err)
{
    struct params p;

    if (fill_params(n, &p, err) != 0)
        return -1;
    /* A table that was gone may be back under the same key. */
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->changed && part->gone && remove_note(n, s, part, c, &p, err) != 0)
            return -1;
    for (struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->changed && !part->gone && write_changed(n, s, c, part, &p, err) != 0)
            return -1;
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->changed && part->gone && copymissing_drop(&n->missing, s, part->relid, err) != 0)
            return -1;
    if (park_write(&n->park, s, c, err) != 0)
        return -1;
    return c->listed && (c->carried_over || c->attached) ? every_table_is_noted(s, &p, err) : 0;
}

int
copynotes_drop(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    static const char *const deletes[] = {
        "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2",
        "DELETE FROM walpipe.missing WHERE pipeline = $1 AND sink = $2"};
    const char *params[] = {pipeline, sink};
    const struct staging staging = {.pipeline = pipeline, .sink = sink};
    PGresult *result;
    bool exist;

    if (staging_drop_all(&staging, s, err) != 0 || copyheld_drop(s, pipeline, sink, err) != 0 ||
        park_drop(s, pipeline, sink, err) != 0 || notetables_exist(s, &exist, err) != 0)
        return -1;
    for (size_t i = 0; i < 2 && exist; i++) {
        result = pqx_exec_params(s->conn, "delete from walpipe.tables", deletes[i], 2, params, err);
        PQclear(result);
        if (result == NULL)
            return -1;
    }
    return 0;
}
