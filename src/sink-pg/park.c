/* park.c: see park.h.
 *
 * The note has a transaction of its own, and the run ends behind it. So no worker has passed over a
 * change of the table before the note is durable, and behind the restart all workers find it. */
#include "sink-pg/park.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/utf8.h"
#include "sink-pg/mapping.h"
#include "sink-pg/owntables.h"

static const char own[] = "parked";

static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS walpipe.parked ("
    "pipeline text NOT NULL, sink text NOT NULL, relid oid NOT NULL, schema text NOT NULL,"
    "name text NOT NULL, since timestamptz NOT NULL DEFAULT pg_catalog.now(),"
    "lsn pg_lsn NOT NULL, sqlstate text NOT NULL, reason text NOT NULL, hint text NOT NULL,"
    "resumed_at timestamptz, PRIMARY KEY (pipeline, sink, relid))";

static PGresult *
ask(struct session *s, const char *what, const char *sql, int count, const char *const *params,
    int least, int most, const char *columns, struct err *err)
{
    return pqx_shaped(pqx_exec_params(s->conn, what, sql, count, params, err), what, least, most,
                      columns, err);
}

/* ---- the start ---- */

/* A table whose notes somebody has removed, or has set to waiting when the target was emptied, is
 * copied as a new one. */
static const char forget[] =
    "DELETE FROM walpipe.parked AS p WHERE pipeline = $1 AND sink = $2 AND NOT EXISTS (SELECT FROM "
    "walpipe.tables AS t WHERE t.pipeline = $1 AND t.sink = $2 AND t.relid = p.relid "
    "AND t.state <> 'waiting')";

/* It lacks nothing then that its copy does not bring. */
static const char lack_nothing[] =
    "UPDATE walpipe.tables AS t SET behind = false WHERE pipeline = $1 AND sink = $2 AND behind "
    "AND state = 'waiting' AND NOT EXISTS (SELECT FROM walpipe.tables AS o WHERE o.pipeline = $1 "
    "AND o.sink = $2 AND o.relid = t.relid AND o.state <> 'waiting')";

/* Another worker may have written its note while the table was parked. Its rows go to the present
 * target. */
static const char spread[] =
    "UPDATE walpipe.tables AS t SET state = CASE WHEN t.state LIKE 'out-%' THEN 'out-resync' "
    "ELSE 'resync' END, behind = true, l0 = '0/0', file = 0, done = '', rows = 0, target = '' "
    "FROM walpipe.parked AS p WHERE p.pipeline = $1 AND p.sink = $2 AND p.resumed_at IS NULL "
    "AND t.pipeline = $1 AND t.sink = $2 AND t.relid = p.relid AND NOT (t.target = '' "
    "AND t.state IN ('resync', 'out-resync') AND t.behind AND t.l0 = '0/0')";

static int
make_table(struct park *p, struct session *s, struct err *err)
{
    if (owntables_exist(s, own, &p->exists, err) != 0)
        return -1;
    if (p->exists || p->limit == 0)
        return 0;
    p->exists = true;
    if (session_exec(s, "create walpipe.parked in the target", create_table, err) == 0)
        return 0;
    if (err->code == EXIT_REFUSED)
        err_hint(err, "grant CREATE on schema walpipe to the sink's role, or create the table as "
                      "in sink-pg(1)");
    return -1;
}

int
park_load(struct park *p, struct session *s, struct err *err)
{
    const char *params[] = {p->pipeline, p->hello->sink};

    if (make_table(p, s, err) != 0)
        return -1;
    if (!p->exists)
        return 0;
    if (session_run(s, "delete from walpipe.parked", forget, 2, params, err) != 0 ||
        session_run(s, "write walpipe.tables", lack_nothing, 2, params, err) != 0)
        return -1;
    return session_run(s, "write walpipe.tables", spread, 2, params, err);
}

static void
mark(struct copying *c, uint32_t relid)
{
    for (struct copypart *at = copyparts_first(c, relid); at != NULL; at = at->table_next)
        at->parked = at->parked_noted = true;
}

/* Nobody must act on a table that is not published any more. Its name may be another one since. */
static void
log_parked(const struct session *s, const struct copying *c, const PGresult *rows, int row)
{
    const struct copypart *part =
        copyparts_published(c, (uint32_t)strtoul(PQgetvalue(rows, row, 0), NULL, 10));
    const struct log_field hint = {
        .name = "hint",
        .text = "its changes are passed over; when the cause is mended, run walpipe resume "
                "--table for it, and it is copied again"};

    if (part != NULL)
        log_write_fields(s->log, LOG_WARNING, &hint, 1, "%s.%s is parked since %s, at %s: %s",
                         part->schema, part->name, PQgetvalue(rows, row, 3),
                         PQgetvalue(rows, row, 4), PQgetvalue(rows, row, 5));
}

static PGresult *
read_parked(const struct park *p, struct session *s, struct err *err)
{
    static const char sql[] =
        "SELECT relid, schema, name, since, lsn, reason FROM walpipe.parked WHERE pipeline = $1 "
        "AND sink = $2 AND resumed_at IS NULL ORDER BY since";
    const char *params[] = {p->pipeline, p->hello->sink};

    return ask(s, "read walpipe.parked", sql, 2, params, 0, PQX_ROWS, "vvvvvv", err);
}

int
park_require_none(const struct park *p, struct session *s, struct err *err)
{
    PGresult *rows;
    bool exists, any;

    if (owntables_exist(s, own, &exists, err) != 0)
        return -1;
    if (!exists)
        return 0;
    rows = read_parked(p, s, err);
    if (rows == NULL)
        return -1;
    any = PQntuples(rows) > 0;
    if (any) {
        err_set(err, EXIT_REFUSED, "%s.%s is parked, and this stream brings no copies",
                PQgetvalue(rows, 0, 1), PQgetvalue(rows, 0, 2));
        err_hint(err, "set copy = yes in the sink, and bring the table back with walpipe resume "
                      "--table");
    }
    PQclear(rows);
    return any ? -1 : 0;
}

int
park_recall(const struct park *p, struct session *s, struct copying *c, struct err *err)
{
    PGresult *rows;

    if (!p->exists)
        return 0;
    rows = read_parked(p, s, err);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        mark(c, (uint32_t)strtoul(PQgetvalue(rows, i, 0), NULL, 10));
        if (p->hello->shard == 0)
            log_parked(s, c, rows, i);
    }
    PQclear(rows);
    copyparts_look(c);
    return 0;
}

/* ---- the resync that ends it ---- */

/* The row stays, as a record, and may be wanted again if the resync comes to nothing. */
static const char set_resumed[] =
    "UPDATE walpipe.parked SET resumed_at = CASE WHEN $4::boolean THEN pg_catalog.now() END "
    "WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid "
    "AND (resumed_at IS NOT NULL) <> $4::boolean";

static int
note_resumed(struct session *s, const char *pipeline, const char *sink, uint32_t relid,
             bool resumed, struct err *err)
{
    char oid[16];
    const char *params[] = {pipeline, sink, oid, resumed ? "t" : "f"};

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    return session_run(s, "write walpipe.parked", set_resumed, 4, params, err);
}

int
park_write(const struct park *p, struct session *s, const struct copying *c, struct err *err)
{
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (!part->gone && part->parked != part->parked_noted &&
            note_resumed(s, p->pipeline, p->hello->sink, part->relid, !part->parked, err) != 0)
            return -1;
    return 0;
}

int
park_resume(struct session *s, const char *pipeline, const char *sink, uint32_t relid,
            struct err *err)
{
    bool exists;

    if (owntables_exist(s, own, &exists, err) != 0)
        return -1;
    return exists ? note_resumed(s, pipeline, sink, relid, true, err) : 0;
}

int
park_drop(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    const char *params[] = {pipeline, sink};
    bool exists;

    if (owntables_exist(s, own, &exists, err) != 0)
        return -1;
    return exists ? session_run(s, "delete from walpipe.parked",
                                "DELETE FROM walpipe.parked WHERE pipeline = $1 AND sink = $2", 2,
                                params, err)
                  : 0;
}

/* ---- whose error it is ---- */

/* The server's reasons that are not those of one table, although one statement met them:
 * connection, login, rights, read-only, prepared statements (of a pooler), resources, disk,
 * intervention, damage. */
static bool
may_park(const char *sqlstate)
{
    static const char *const others[] = {"08", "0P", "25", "26",    "28",    "3D",  "40", "53",
                                         "57", "58", "F0", "42501", "42P05", "55P", "XX"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncmp(sqlstate, others[i], strlen(others[i])) == 0)
            return false;
    return true;
}

/* The source's table whose target it is. 0 if there is none, or if it is the target of several. */
static uint32_t
source_of(const struct park *p, const struct copying *c, const char *schema, const char *name)
{
    uint32_t found = 0;

    for (const struct copypart *part = c->parts; part != NULL; part = part->next) {
        const char *target[2];

        mapping_target(p->tables->mapping, part->schema, part->name, &target[0], &target[1]);
        if (part->gone || strcmp(target[0], schema) != 0 || strcmp(target[1], name) != 0)
            continue;
        if (found != 0 && found != part->relid)
            return 0;
        found = part->relid;
    }
    return found;
}

#define OF_ROOT                                                                                    \
    "JOIN pg_catalog.pg_class AS c ON c.oid = coalesce(pg_catalog.pg_partition_root(t.oid), "      \
    "t.oid) JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"

#define NAMED "pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))"

static const char named[] =
    "SELECT n.nspname, c.relname FROM " NAMED " AS t(oid) " OF_ROOT " WHERE $3::text IS NOT NULL";

static const char referred[] =
    "SELECT n.nspname, c.relname FROM (SELECT confrelid FROM pg_catalog.pg_constraint WHERE "
    "conrelid = " NAMED " AND conname = $3::text AND contype = 'f') AS t(oid) " OF_ROOT;

static int
ask_for_table(const struct park *p, struct session *s, const struct copying *c, const char *sql,
              const struct err *why, uint32_t *relid, struct err *err)
{
    const char *params[] = {why->schema, why->table, why->constraint};
    PGresult *rows = ask(s, "look for the table of a constraint", sql, 3, params, 0, 1, "vv", err);

    if (rows == NULL)
        return -1;
    if (PQntuples(rows) == 1)
        *relid = source_of(p, c, PQgetvalue(rows, 0, 0), PQgetvalue(rows, 0, 1));
    PQclear(rows);
    return 0;
}

/* For a constraint that is checked by COMMIT the server names its table, which may be a partition.
 * For a foreign key that is the table that refers. If no change of that one is applied any more, a
 * change of the other has met its rows. */
static int
find_culprit(const struct park *p, struct session *s, const struct copying *c,
             const struct err *why, uint32_t *relid, struct err *err)
{
    *relid = source_of(p, c, why->schema, why->table);
    if (*relid == 0 && ask_for_table(p, s, c, named, why, relid, err) != 0)
        return -1;
    return *relid != 0 && copyparts_is_parked(c, *relid)
               ? ask_for_table(p, s, c, referred, why, relid, err)
               : 0;
}

/* ---- the note ---- */

struct parking {
    uint32_t relid;
    char schema[NAME_MAX_BYTES + 1]; /* of the source's table */
    char name[NAME_MAX_BYTES + 1];
};

static void
set_name(struct parking *table, const char *schema, const char *name)
{
    snprintf(table->schema, sizeof table->schema, "%s", schema);
    snprintf(table->name, sizeof table->name, "%s", name);
}

/* A table that the stream has not described is that of err's words. */
static bool
find_name(const struct park *p, const struct copying *c, const struct err *err,
          struct parking *table)
{
    const struct table *streamed = tables_get(p->tables, table->relid);
    const struct copypart *part = copyparts_first(c, table->relid);
    const char *dot = strchr(err->relation, '.');
    char schema[sizeof err->relation];

    if (streamed != NULL) {
        set_name(table, streamed->relation.schema, streamed->relation.name);
    } else if (part != NULL) {
        set_name(table, part->schema, part->name);
    } else {
        if (dot == NULL || strchr(dot + 1, '.') != NULL)
            return false;
        snprintf(schema, sizeof schema, "%.*s", (int)(dot - err->relation), err->relation);
        set_name(table, schema, dot + 1);
    }
    return true;
}

/* All have the parameters pipeline, sink, relid, schema, name, shard. */
#define TYPED                                                                                      \
    "$1::text IS NOT NULL AND $2::text IS NOT NULL AND $3::oid IS NOT NULL AND "                   \
    "$4::text IS NOT NULL AND $5::text IS NOT NULL AND $6::integer IS NOT NULL"

/* The notes of a table that was dropped and made again stand for nothing any more. The resync reads
 * all rows, so neither missing keys nor held changes are wanted. */
static const char *const steps[] = {
    "DELETE FROM walpipe.missing WHERE pipeline = $1 AND sink = $2 AND relid IN (SELECT relid "
    "FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND (relid = $3::oid OR (schema = $4 "
    "AND name = $5))) AND " TYPED,
    "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid NOT IN (0, $3::oid) "
    "AND schema = $4 AND name = $5 AND " TYPED,
    "DELETE FROM walpipe.held WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid AND " TYPED,
    "UPDATE walpipe.tables SET state = CASE WHEN state LIKE 'out-%' THEN 'out-resync' "
    "ELSE 'resync' END, behind = true, l0 = '0/0', file = 0, done = '', rows = 0, "
    "updated_at = pg_catalog.now() WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid "
    "AND " TYPED,
    "INSERT INTO walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, layout, "
    "behind) SELECT $1, $2, $3::oid, 0, $6::integer, $4, $5, 'resync', 0, true WHERE NOT EXISTS "
    "(SELECT FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid) "
    "AND " TYPED};

static const char insert_parked[] =
    "INSERT INTO walpipe.parked AS p (pipeline, sink, relid, schema, name, lsn, sqlstate, reason, "
    "hint) VALUES ($1, $2, $3::oid, $4, $5, $6::pg_lsn, $7, $8, $9) "
    "ON CONFLICT (pipeline, sink, relid) DO UPDATE SET schema = EXCLUDED.schema, "
    "name = EXCLUDED.name, since = pg_catalog.now(), lsn = EXCLUDED.lsn, "
    "sqlstate = EXCLUDED.sqlstate, reason = EXCLUDED.reason, hint = EXCLUDED.hint, "
    "resumed_at = NULL";

static int
write_note(const struct park *p, struct session *s, const struct parking *table, uint64_t lsn,
           const struct err *reason, struct err *err)
{
    struct lsn_text text = lsn_format(lsn);
    struct err why = *reason;
    char oid[16], shard[16];
    const char *notes[] = {p->pipeline, p->hello->sink, oid, table->schema, table->name, shard};
    const char *parked[] = {p->pipeline, p->hello->sink, oid,         table->schema, table->name,
                            text.text,   why.sqlstate,   why.message, why.hint};

    /* An error may cut a key's value within a character, which the server would refuse. */
    utf8_make_valid(why.message);
    utf8_make_valid(why.hint);
    snprintf(oid, sizeof oid, "%" PRIu32, table->relid);
    snprintf(shard, sizeof shard, "%" PRIu32, p->hello->shard);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (session_run(s, "write walpipe.tables", steps[i], 6, notes, err) != 0)
            return -1;
    return session_run(s, "write walpipe.parked", insert_parked, 9, parked, err);
}

/* *parked: another worker has parked it since this one began. *allowed: the limit allows one more.
 */
static int
look(const struct park *p, struct session *s, uint32_t relid, bool *parked, bool *allowed,
     struct err *err)
{
    static const char sql[] =
        "SELECT coalesce(pg_catalog.bool_or(relid = $3::oid AND resumed_at IS NULL), false), "
        "pg_catalog.count(*) FILTER (WHERE since > pg_catalog.now() - interval '1 minute') "
        "FROM walpipe.parked WHERE pipeline = $1 AND sink = $2";
    char oid[16];
    const char *params[] = {p->pipeline, p->hello->sink, oid};
    PGresult *row;

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    row = ask(s, "read walpipe.parked", sql, 3, params, 1, 1, "vv", err);
    if (row == NULL)
        return -1;
    *parked = PQgetvalue(row, 0, 0)[0] == 't';
    *allowed = strtoull(PQgetvalue(row, 0, 1), NULL, 10) < p->limit;
    PQclear(row);
    return 0;
}

/* Takes the lock that workers load their notes under, and makes sure that nobody has taken over. */
static int
begin(const struct park *p, struct session *s, struct err *err)
{
    s->tx_open = true;
    return session_exec(s, "lock walpipe.tables",
                        "BEGIN; SET LOCAL lock_timeout = '10s'; "
                        "SELECT pg_catalog.pg_advisory_xact_lock("
                        "pg_catalog.hashtextextended('walpipe.progress', 0))",
                        err) != 0
               ? -1
               : progress_hold(p->progress, s, err);
}

static int
note(const struct park *p, struct session *s, const struct parking *table, uint64_t lsn,
     const struct err *why, bool *allowed, struct err *err)
{
    bool parked = false;

    if (begin(p, s, err) != 0 || look(p, s, table->relid, &parked, allowed, err) != 0)
        return -1;
    *allowed = *allowed || parked;
    if (!*allowed)
        return 0;
    if (!parked && write_note(p, s, table, lsn, why, err) != 0)
        return -1;
    if (session_exec(s, "commit walpipe.parked", "COMMIT", err) != 0)
        return -1;
    s->tx_open = false;
    return 0;
}

static int
refuse_more(const struct park *p, struct err *err)
{
    char hint[sizeof err->hint];

    memcpy(hint, err->hint, sizeof hint);
    return err_hint(err,
                    "the sink stops, because park_limit = %" PRIu64 " tables were parked within a "
                    "minute, so the cause may be a common one; mend it and start again%s%.250s",
                    p->limit, hint[0] == '\0' ? "" : "; ", hint);
}

static int
say_parked(const struct parking *table, struct err *err)
{
    char why[sizeof err->message];

    memcpy(why, err->message, sizeof why);
    err_set(err, EXIT_PEER, "%s.%s is parked: %.800s", table->schema, table->name, why);
    return err_hint(err, "after the restart its changes are passed over, and the other tables go "
                         "on; when the cause is mended, run walpipe resume --table for it");
}

/* A target that cannot take the note must not hide the error that is to be mended. */
static int
keep_error(struct err *err, const struct err *why)
{
    char hint[sizeof err->hint];

    if (why->code != EXIT_REFUSED) {
        *err = *why;
        return -1;
    }
    memcpy(hint, err->hint, sizeof hint);
    return err_hint(err, "the table cannot be parked: %.200s%s%.250s", why->message,
                    hint[0] == '\0' ? "" : "; ", hint);
}

int
park_table(struct park *p, struct session *s, const struct copying *c, uint64_t position,
           struct err *err)
{
    struct parking table = {.relid = err->culprit};
    struct err why = {0};
    bool allowed = false;

    if (p->limit == 0 || err->code != EXIT_REFUSED || !may_park(err->sqlstate))
        return -1;
    session_rollback(s);
    if (s->conn == NULL)
        return err_set(err, EXIT_PEER, "the connection to the target is lost");
    if (table.relid == 0 && err->table[0] != '\0' &&
        find_culprit(p, s, c, err, &table.relid, &why) != 0)
        return keep_error(err, &why);
    if (table.relid == 0 || copyparts_is_parked(c, table.relid) || !find_name(p, c, err, &table))
        return -1;
    if (note(p, s, &table, err->lsn != 0 ? err->lsn : position, err, &allowed, &why) != 0) {
        session_rollback(s);
        return keep_error(err, &why);
    }
    session_rollback(s);
    return allowed ? say_parked(&table, err) : refuse_more(p, err);
}
