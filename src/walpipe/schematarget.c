/* schematarget.c: see schematarget.h. */
#include "walpipe/schematarget.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "lib/pqconn.h"
#include "lib/pqx.h"

const char schematarget_settings[] = "SET statement_timeout = 0;\n"
                                     "SET lock_timeout = 0;\n"
                                     "SET client_encoding = 'UTF8';\n"
                                     "SET standard_conforming_strings = on;\n"
                                     "SELECT pg_catalog.set_config('search_path', '', false);\n"
                                     "SET check_function_bodies = false;\n"
                                     "SET xmloption = content;\n"
                                     "SET client_min_messages = warning;\n"
                                     "SET row_security = off;\n";

static const char keys_sql[] =
    "SELECT k FROM ("
    "SELECT a.type || ' ' || a.object_names::text || ' ' || a.object_args::text FROM ("
    "  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid FROM pg_catalog.pg_type t"
    "   WHERE t.typtype IN ('e', 'd', 'r', 'b') OR EXISTS (SELECT FROM pg_catalog.pg_class c"
    "     WHERE c.oid = t.typrelid AND c.relkind = 'c')"
    "  UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid FROM pg_catalog.pg_proc"
    "  UNION ALL SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_namespace"
    "  UNION ALL SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_extension"
    "  UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_collation"
    "  UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_operator"
    "  UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_opclass"
    "  UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_opfamily"
    "  UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_constraint"
    "  UNION ALL SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_trigger WHERE NOT tgisinternal"
    "  UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_statistic_ext"
    "  UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_ts_config"
    "  UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid"
    "   FROM pg_catalog.pg_ts_dict"
    ") o(classid, oid), LATERAL pg_catalog.pg_identify_object_as_address(o.classid, o.oid, 0) a "
    "WHERE o.oid >= 16384 OR a.type = 'schema' AND a.object_names = '{public}' "
    "UNION ALL SELECT pg_catalog.format('%s%s %s {}', attached.word,"
    "  CASE WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f') THEN 'table'"
    "    WHEN c.relkind = 'S' THEN 'sequence' ELSE 'index' END,"
    "  ARRAY[n.nspname, c.relname]) "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "JOIN (VALUES ('', false), ('attached ', true)) attached(word, child)"
    "  ON NOT attached.child OR c.relkind IN ('i', 'I')"
    "    AND EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid) "
    "WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')"
    "  AND n.nspname !~ '^pg_') u(k) "
    "ORDER BY k COLLATE \"C\"";

PGconn *
schematarget_open(const struct sink_config *sink, struct err *err)
{
    PGconn *conn = pqconn_open_as(sink->conninfo, "walpipe schema", sink->password, err);
    PGresult *r;

    if (conn == NULL)
        return NULL;
    r = pqx_exec(conn, "prepare the session", schematarget_settings, err);
    if (r == NULL) {
        PQfinish(conn);
        return NULL;
    }
    PQclear(r);
    return conn;
}

int
schematarget_list(PGconn *conn, const char ***keys, size_t *count, struct pool *pool,
                  struct err *err)
{
    static const char what[] = "list the target's objects";
    PGresult *r = pqx_exec(conn, what, "SET jit = off", err); /* compiling takes longer */

    PQclear(r);
    r = r == NULL ? NULL : pqx_exec(conn, what, keys_sql, err);
    r = r == NULL ? NULL : pqx_shaped(r, what, 0, PQX_ROWS, "v", err);
    if (r == NULL)
        return -1;
    *count = (size_t)PQntuples(r);
    *keys = pool_take(pool, (*count + 1) * sizeof(char *));
    for (size_t i = 0; i < *count; i++)
        (*keys)[i] = pool_copy(pool, PQgetvalue(r, (int)i, 0));
    PQclear(r);
    return 0;
}

static void
say(const struct sink_config *sink, const struct schemaplan_statement *s, const char *result)
{
    printf("sink %s: %s: %s\n", sink->name, s->label, result);
    fflush(stdout);
}

static int
run(PGconn *conn, const char *what, const char *sql, struct err *err)
{
    PGresult *r = pqx_exec(conn, what, sql, err);

    PQclear(r);
    return r == NULL ? -1 : 0;
}

/* ---- the first step ---- */

static int
run_first(PGconn *conn, const struct schemaplan *plan, struct err *err)
{
    char what[200];

    for (size_t i = 0; i < plan->count && plan->list[i].stage == SCHEMAPLAN_FIRST; i++) {
        snprintf(what, sizeof what, "make %s", plan->list[i].label);
        if (run(conn, what, plan->list[i].sql, err) != 0)
            return -1;
    }
    return 0;
}

int
schematarget_make_first(PGconn *conn, const struct sink_config *sink, const struct schemaplan *plan,
                        const struct log *log, struct err *err)
{
    struct err ignored;

    if (plan->count == 0 || plan->list[0].stage != SCHEMAPLAN_FIRST)
        return 0;
    if (run(conn, "begin a transaction", "BEGIN", err) != 0)
        return -1;
    if (run_first(conn, plan, err) != 0 || run(conn, "commit", "COMMIT", err) != 0) {
        PQclear(pqx_exec(conn, "roll back", "ROLLBACK", &ignored));
        return -1;
    }
    for (size_t i = 0; i < plan->count && plan->list[i].stage == SCHEMAPLAN_FIRST; i++)
        if (log == NULL)
            say(sink, &plan->list[i], "made");
        else
            log_write(log, LOG_INFO, "sink %s: made %s", sink->name, plan->list[i].label);
    return 0;
}

/* ---- the second step ---- */

struct crew {
    const struct sink_config *sink;
    const struct schemaplan *plan;
    PGconn *conns[COPY_WORKERS_MAX];
    const struct schemaplan_statement *busy[COPY_WORKERS_MAX]; /* NULL if it is idle */
    size_t count;
    size_t next;   /* statement to begin */
    size_t failed; /* statements */
};

static void
finish(struct crew *c, size_t i)
{
    struct err err = {0};
    bool failed = false;
    PGresult *r;

    while ((r = PQgetResult(c->conns[i])) != NULL) {
        ExecStatusType status = PQresultStatus(r);

        if (!failed && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            pqx_error(c->conns[i], r, "make it", &err);
            failed = true;
        }
        PQclear(r);
    }
    say(c->sink, c->busy[i], failed ? err.message : "made");
    c->failed += failed;
    c->busy[i] = NULL;
}

/* Begins the next statement of the stage. Returns false if there is none. */
static bool
begin(struct crew *c, size_t i, enum schemaplan_stage stage, struct err *err)
{
    if (c->next >= c->plan->count || c->plan->list[c->next].stage != stage)
        return false;
    if (PQsendQuery(c->conns[i], c->plan->list[c->next].sql) == 0) {
        pqx_error(c->conns[i], NULL, "send a statement", err);
        return false;
    }
    c->busy[i] = &c->plan->list[c->next++];
    return true;
}

/* Waits until an answer is there, and takes it. */
static int
wait_for_one(struct crew *c, struct err *err)
{
    struct pollfd fds[COPY_WORKERS_MAX];

    for (size_t i = 0; i < c->count; i++)
        fds[i] = (struct pollfd){.fd = c->busy[i] == NULL ? -1 : PQsocket(c->conns[i]),
                                 .events = POLLIN};
    if (poll(fds, c->count, -1) < 0 && errno != EINTR)
        return err_set(err, EXIT_PEER, "could not wait for the target: %s", strerror(errno));
    for (size_t i = 0; i < c->count; i++) {
        if (c->busy[i] == NULL || fds[i].revents == 0)
            continue;
        if (PQconsumeInput(c->conns[i]) == 0)
            return pqx_error(c->conns[i], NULL, "read the target's answer", err);
        if (PQisBusy(c->conns[i]) == 0)
            finish(c, i);
    }
    return 0;
}

/* Whether connections are busy when no more can begin. */
static bool
begin_all(struct crew *c, enum schemaplan_stage stage, struct err *err)
{
    size_t used = stage == SCHEMAPLAN_INDEXES ? c->count : 1, busy = 0;

    for (size_t i = 0; i < used; i++)
        busy += c->busy[i] != NULL || begin(c, i, stage, err);
    return busy > 0;
}

static int
run_stage(struct crew *c, enum schemaplan_stage stage, struct err *err)
{
    while (begin_all(c, stage, err))
        if (wait_for_one(c, err) != 0)
            return -1;
    return err->code == 0 ? 0 : -1;
}

static int
open_crew(struct crew *c, uint32_t connections, struct err *err)
{
    while (c->count < connections && c->count < COPY_WORKERS_MAX) {
        c->conns[c->count] = schematarget_open(c->sink, err);
        if (c->conns[c->count] == NULL)
            return -1;
        c->count++;
    }
    return 0;
}

static int
run_second(struct crew *c, uint32_t connections, struct err *err)
{
    if (open_crew(c, connections, err) != 0)
        return -1;
    for (int stage = SCHEMAPLAN_INDEXES; stage < SCHEMAPLAN_STAGES; stage++)
        if (run_stage(c, (enum schemaplan_stage)stage, err) != 0)
            return -1;
    if (c->failed == 0)
        return 0;
    err_set(err, EXIT_REFUSED, "sink %s: %zu object(s) could not be made", c->sink->name,
            c->failed);
    return err_hint(err, "correct the causes above and run the command again");
}

int
schematarget_make_second(const struct sink_config *sink, const struct schemaplan *plan,
                         uint32_t connections, struct err *err)
{
    struct crew c = {.sink = sink, .plan = plan};
    int rc;

    while (c.next < plan->count && plan->list[c.next].stage == SCHEMAPLAN_FIRST)
        c.next++;
    if (c.next == plan->count)
        return 0;
    rc = run_second(&c, connections, err);
    for (size_t i = 0; i < c.count; i++)
        PQfinish(c.conns[i]);
    return rc;
}
