/* staging.c: see staging.h. */
#include "sink-pg/staging.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "sink-pg/sqltext.h"
#include "sink-pg/valuesql.h"

static const char schema[] = "walpipe";

static uint32_t
hash_of(const struct staging *g)
{
    uint64_t h = hash_bytes(HASH_SEED, g->pipeline, strlen(g->pipeline) + 1);

    return (uint32_t)hash_finish(hash_bytes(h, g->sink, strlen(g->sink) + 1));
}

struct staging_name
staging_name(const struct staging *g, uint32_t relid)
{
    struct staging_name name;

    snprintf(name.text, sizeof name.text, "resync_%" PRIu32 "_%08" PRIx32, relid, hash_of(g));
    return name;
}

/* ---- as a target ---- */

struct table *
staging_table(const struct staging *g, const struct frame *relation, struct err *err)
{
    struct table *table = table_new(g->tables, relation, err);
    struct staging_name name;

    if (table == NULL)
        return NULL;
    name = staging_name(g, table->relation.relid);
    snprintf(table->schema, sizeof table->schema, "%s", schema);
    snprintf(table->name, sizeof table->name, "%s", name.text);
    snprintf(table->label, sizeof table->label, "%s.%s", schema, name.text);
    table->staged = table->copied = true;
    return table;
}

int
staging_join(const struct staging *g, struct table *table, struct err *err)
{
    struct frame frame = {
        .raw = {.data = table->raw.data + table->raw.start, .len = buf_len(&table->raw)}};

    if (table->staging != NULL)
        return 0;
    frame.body = cursor_over(frame.raw.data + FRAME_HEADER, frame.raw.len - FRAME_HEADER);
    table->staging = staging_table(g, &frame, err);
    return table->staging == NULL ? -1 : 0;
}

void
staging_misfit(struct copying *c, const struct table *table, bool *unplaced, struct err *err)
{
    const struct copypart *part = copyparts_first(c, table->relation.relid);
    char why[sizeof err->message];

    if (err->code != EXIT_REFUSED || part == NULL)
        return;
    memcpy(why, err->message, sizeof why);
    *unplaced = true;
    (void)copyparts_unstage(c, part, why, err);
}

/* ---- statements ---- */

int
staging_drop(const struct staging *g, struct session *s, uint32_t relid, struct err *err)
{
    char sql[sizeof(struct staging_name) + 64];

    snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS %s.%s", schema, staging_name(g, relid).text);
    return session_exec(s, "drop a staging table", sql, err);
}

int
staging_drop_all(const struct staging *g, struct session *s, struct err *err)
{
    static const char find[] =
        "SELECT pg_catalog.substr(c.relname, 8) FROM pg_catalog.pg_class AS c "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'walpipe' "
        "WHERE c.relkind = 'r' AND c.relname ~ ('^resync_[0-9]+_' || $1 || '$')";
    char hash[16];
    const char *params[] = {hash};
    PGresult *rows;
    int rc = 0;

    snprintf(hash, sizeof hash, "%08" PRIx32, hash_of(g));
    rows = session_ask(s, "look for staging tables", find, 1, params, "v", err);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows) && rc == 0; i++)
        rc = staging_drop(g, s, (uint32_t)strtoul(PQgetvalue(rows, i, 0), NULL, 10), err);
    PQclear(rows);
    return rc;
}

/* The columns that the target has and the staging table has not, or with another type. */
int
staging_fits(const struct staging *g, struct session *s, uint32_t relid,
             const char *const target[2], bool *fits, struct err *err)
{
    static const char sql[] =
        "SELECT s.oid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a "
        "WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS ("
        "SELECT FROM pg_catalog.pg_attribute AS b WHERE b.attrelid = s.oid AND b.attnum > 0 "
        "AND b.attname = a.attname AND b.atttypid = a.atttypid AND b.atttypmod = a.atttypmod "
        "AND b.attcollation = a.attcollation)) FROM "
        "(SELECT pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))::oid) "
        "AS t(oid), (SELECT pg_catalog.to_regclass('walpipe.' || $3::text)::oid) AS s(oid)";
    struct staging_name name = staging_name(g, relid);
    const char *params[] = {target[0], target[1], name.text};
    PGresult *rows =
        session_ask(s, "compare a staging table with its target", sql, 3, params, "v", err);

    if (rows == NULL)
        return -1;
    *fits = PQntuples(rows) == 1 && PQgetvalue(rows, 0, 0)[0] == 't';
    PQclear(rows);
    return 0;
}

/* ---- the start ---- */

/* A crash may have left some workers' or parts' notes as they were before the resync. No range was
 * finished then. */
static const char resync_all[] =
    "UPDATE walpipe.tables AS t SET state = 'resync', l0 = '0/0', file = 0, done = '', rows = 0 "
    "WHERE pipeline = $1 AND sink = $2 AND relid <> 0 "
    "AND state IN ('waiting', 'copying', 'streaming') AND EXISTS (SELECT FROM walpipe.tables AS o "
    "WHERE o.pipeline = $1 AND o.sink = $2 AND o.relid = t.relid AND o.state = 'resync')";

/* The last column says that the staged rows are void: the table was out of the publication, or some
 * worker has not staged its changes. */
static const char read_staged[] =
    "SELECT relid, pg_catalog.min(schema), pg_catalog.min(name), "
    "pg_catalog.bool_or(is_out OR NOT staged) FROM (SELECT relid, shard, "
    "pg_catalog.min(schema) AS schema, pg_catalog.min(name) AS name, "
    "pg_catalog.bool_or(state = 'out-resync') AS is_out, pg_catalog.bool_or(l0 <> '0/0') AS staged "
    "FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND state IN ('resync', 'out-resync') "
    "GROUP BY relid, shard) AS w GROUP BY relid HAVING pg_catalog.bool_or(staged)";

static const char forget_staged[] =
    "UPDATE walpipe.tables SET l0 = '0/0', file = 0, done = '', rows = 0 WHERE pipeline = $1 "
    "AND sink = $2 AND relid = $3::oid";

/* The one in the row. */
static int
check_staged(const struct staging *g, struct session *s, const PGresult *rows, int row,
             struct err *err)
{
    const char *params[] = {g->pipeline, g->sink, PQgetvalue(rows, row, 0)};
    uint32_t relid = (uint32_t)strtoul(params[2], NULL, 10);
    const char *target[2];
    bool fits;

    mapping_target(g->tables->mapping, PQgetvalue(rows, row, 1), PQgetvalue(rows, row, 2),
                   &target[0], &target[1]);
    if (staging_fits(g, s, relid, target, &fits, err) != 0)
        return -1;
    if (fits && PQgetvalue(rows, row, 3)[0] == 'f')
        return 0;
    if (staging_drop(g, s, relid, err) != 0)
        return -1;
    return session_run(s, "write walpipe.tables", forget_staged, 3, params, err);
}

int
staging_load(const struct staging *g, struct session *s, struct err *err)
{
    const char *params[] = {g->pipeline, g->sink};
    PGresult *rows;
    int rc = 0;

    if (session_run(s, "write walpipe.tables", resync_all, 2, params, err) != 0)
        return -1;
    rows = session_ask(s, "read walpipe.tables", read_staged, 2, params, "vvvv", err);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows) && rc == 0; i++)
        rc = check_staged(g, s, rows, i, err);
    PQclear(rows);
    return rc;
}

/* ---- which table it is ---- */

int
staging_oid(const struct staging *g, struct session *s, uint32_t relid, uint32_t *oid,
            struct err *err)
{
    static const char sql[] =
        "SELECT coalesce(pg_catalog.to_regclass('walpipe.' || $1::text)::oid, 0::oid)";
    struct staging_name name = staging_name(g, relid);
    const char *params[] = {name.text};
    PGresult *rows = session_ask(s, "look for a staging table", sql, 1, params, "v", err);

    if (rows == NULL)
        return -1;
    *oid = PQntuples(rows) == 1 ? (uint32_t)strtoul(PQgetvalue(rows, 0, 0), NULL, 10) : 0;
    PQclear(rows);
    return 0;
}

/* Before the commit that is under way. */
static bool
is_staged(const struct copypart *part)
{
    return !part->gone && part->state == COPY_RESYNC && part->l0 != 0 &&
           !(part->stages && part->begins_staging);
}

int
staging_recall(const struct staging *g, struct session *s, struct copying *c, struct err *err)
{
    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        uint32_t oid = 0;

        if (part != copyparts_first(c, part->relid) || !copyparts_resyncs(c, part->relid))
            continue;
        if (staging_oid(g, s, part->relid, &oid, err) != 0)
            return -1;
        for (struct copypart *at = part; at != NULL; at = at->table_next)
            at->staging = is_staged(at) ? oid : 0;
    }
    return 0;
}

/* ---- a life begins ---- */

/* Until the note of this worker is committed no other one looks. */
static int
lock(const struct staging *g, struct session *s, uint32_t relid, struct err *err)
{
    static const char sql[] =
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))";
    struct staging_name name = staging_name(g, relid);
    const char *params[] = {name.text};

    return session_run(s, "lock a staging table", sql, 1, params, err);
}

/* Some worker's note says that a part of the table is staged. */
static int
is_noted(const struct staging *g, struct session *s, uint32_t relid, bool *noted, struct err *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 "
        "AND relid = $3::oid AND state IN ('resync', 'out-resync') AND l0 <> '0/0')";
    char oid[16];
    const char *params[] = {g->pipeline, g->sink, oid};
    PGresult *rows;

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    rows = session_ask(s, "look what is staged", sql, 3, params, "v", err);
    if (rows == NULL)
        return -1;
    *noted = PQntuples(rows) == 1 && PQgetvalue(rows, 0, 0)[0] == 't';
    PQclear(rows);
    return 0;
}

static const char *
create_sql(struct buf *sql, const struct plan *plan, const char *name)
{
    sqltext_add(sql,
                "DROP TABLE IF EXISTS %s.%s; CREATE TABLE %s.%s AS SELECT * FROM %s WITH NO "
                "DATA; ALTER TABLE %s.%s ADD PRIMARY KEY (",
                schema, name, schema, name, plan->target, schema, name);
    valuesql_key(sql, plan);
    sqltext_add(sql, ")");
    return sqltext_get(sql);
}

static int
create(const struct staging *g, struct session *s, const struct copypart *part, struct err *err)
{
    struct frame frame = {.raw = {.data = part->described.data + part->described.start,
                                  .len = buf_len(&part->described)}};
    struct table *target;
    struct buf sql = {0};
    int rc = -1;

    frame.body = cursor_over(frame.raw.data + FRAME_HEADER, frame.raw.len - FRAME_HEADER);
    target = table_new(g->tables, &frame, err);
    if (target != NULL && tables_plan(g->tables, target, s, err) == 0) {
        const char *text = create_sql(&sql, target->plan, staging_name(g, part->relid).text);

        rc = text == NULL ? err_set(err, EXIT_PEER, "out of memory for a staging table")
                          : session_exec(s, "create a staging table", text, err);
    }
    buf_free(&sql);
    table_free(target);
    return rc;
}

/* The rows of the parts that were staged before must be in it. A part that has ended is not read
 * again. */
static int
require_same(struct copying *c, const struct copypart *part, uint32_t oid, bool noted,
             struct err *err)
{
    if (oid == 0)
        return copyparts_unstage(c, part, "its staging table is gone", err);
    for (const struct copypart *at = copyparts_first(c, part->relid); at != NULL;
         at = at->table_next)
        if (is_staged(at) && (!noted || at->staging != oid))
            return copyparts_unstage(c, part, "its staging table was replaced", err);
    return 0;
}

static bool
any_staged(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && !is_staged(at))
        at = at->table_next;
    return at != NULL;
}

/* The first worker's first part makes it, and none that comes later: rows that were staged before
 * would not be in it. */
static int
make(const struct staging *g, struct session *s, struct copying *c, const struct copypart *part,
     uint32_t *oid, struct err *err)
{
    bool noted = false;

    if (lock(g, s, part->relid, err) != 0 || is_noted(g, s, part->relid, &noted, err) != 0 ||
        staging_oid(g, s, part->relid, oid, err) != 0)
        return -1;
    if (noted || any_staged(c, part->relid))
        return require_same(c, part, *oid, noted, err);
    return create(g, s, part, err) == 0 ? staging_oid(g, s, part->relid, oid, err) : -1;
}

/* For all parts of the table whose lives begin. */
static int
make_table(const struct staging *g, struct session *s, struct copying *c, struct copypart *first,
           struct err *err)
{
    const struct copypart *part = first;
    uint32_t oid = 0;

    while (part != NULL && !part->stages)
        part = part->table_next;
    if (part == NULL)
        return 0;
    if (make(g, s, c, part, &oid, err) != 0)
        return -1;
    for (struct copypart *at = first; at != NULL; at = at->table_next)
        if (at->stages)
            at->staging = oid;
    return 0;
}

int
staging_make(const struct staging *g, struct session *s, struct copying *c, struct err *err)
{
    for (struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part == copyparts_first(c, part->relid) && make_table(g, s, c, part, err) != 0)
            return -1;
    return 0;
}
