/* origin.c: see origin.h. The server's refusals are told apart by SQLSTATE. */
#include "sink-pg/origin.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

#define HELD_POLL_MILLIS 50

/* A session of a worker that was just ended may need a moment. */
#define DROP_PATIENCE_MILLIS 10000

#define NEEDED_GRANTS                                                                              \
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_replication_origin_create(text), "                    \
    "pg_catalog.pg_replication_origin_session_setup(text) (PostgreSQL 14 and later; before, it "   \
    "must be a superuser)"

static const char take_sql[] = "SELECT pg_catalog.pg_replication_origin_session_setup($1)";
static const char create_sql[] = "SELECT pg_catalog.pg_replication_origin_create($1)";
static const char drop_sql[] = "SELECT pg_catalog.pg_replication_origin_drop(roname) FROM "
                               "pg_catalog.pg_replication_origin WHERE "
                               "pg_catalog.starts_with(roname, $1)";

void
origin_name(struct origin *origin, const char *pipeline, const char *sink, uint32_t shard)
{
    snprintf(origin->worker, sizeof origin->worker, "%s/%s/%" PRIu32, pipeline, sink, shard);
}

/* Origins are the cluster's and pipelines are a database's, so the database is part of the name. */
static int
find_database(struct session *s, char oid[16], struct err *err)
{
    static const char what[] = "name the replication origin";
    PGresult *r = pqx_shaped(pqx_exec(s->conn, what,
                                      "SELECT oid FROM pg_catalog.pg_database WHERE datname = "
                                      "pg_catalog.current_database()",
                                      err),
                             what, 1, 1, "v", err);

    if (r == NULL)
        return -1;
    snprintf(oid, 16, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    return 0;
}

/* The prefix of the names of a sink's origins. */
static int
find_prefix(struct session *s, const char *pipeline, const char *sink, char prefix[ORIGIN_NAME_MAX],
            struct err *err)
{
    char database[16];

    if (find_database(s, database, err) != 0)
        return -1;
    snprintf(prefix, ORIGIN_NAME_MAX, "walpipe/%s/%s/%s/", database, pipeline, sink);
    return 0;
}

/* An SQLSTATE, "" for success. */
struct outcome {
    char sqlstate[6];
};

/* Runs a command about origins. err has the server's answer. */
static struct outcome
run(struct session *s, const char *sql, const char *parameter, struct err *err)
{
    const char *params[] = {parameter};
    PGresult *result = PQexecParams(s->conn, sql, 1, NULL, params, NULL, NULL, 0);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    struct outcome out = {""};

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        snprintf(out.sqlstate, sizeof out.sqlstate, "%s", sqlstate == NULL ? "08006" : sqlstate);
        pqx_error(s->conn, result, "use a replication origin", err);
    }
    PQclear(result);
    return out;
}

static bool
is(struct outcome o, const char *sqlstate)
{
    return strcmp(o.sqlstate, sqlstate) == 0;
}

/* undefined_object means that there is none of that name. unique_violation means that there is one
 * by now. */
static struct outcome
take_or_create(const struct origin *origin, struct session *s, struct err *err)
{
    struct outcome o = run(s, take_sql, origin->name, err);

    if (!is(o, "42704"))
        return o;
    o = run(s, create_sql, origin->name, err);
    return is(o, "") || is(o, "23505") ? run(s, take_sql, origin->name, err) : o;
}

static const char *
setting_name(const struct session *s)
{
    return PQserverVersion(s->conn) >= 180000 ? "max_active_replication_origins"
                                              : "max_replication_slots";
}

static void
warn(struct origin *origin, const struct session *s, struct outcome o, const struct err *err)
{
    if (origin->warned)
        return;
    origin->warned = true;
    if (is(o, "42501"))
        log_write(
            s->log, LOG_WARNING,
            "the target's role may not use replication origins: replication from the target cannot "
            "distinguish these changes from its own, so replication in both directions would loop; "
            "it needs " NEEDED_GRANTS);
    /* configuration_limit_exceeded, or object_not_in_prerequisite_state if the limit is 0 */
    else if (is(o, "53400") || is(o, "55000"))
        log_write(s->log, LOG_WARNING,
                  "the target has no room for replication origin \"%s\": replication from the "
                  "target cannot distinguish these changes from its own, so replication in both "
                  "directions would loop; raise %s there (%s)",
                  origin->name, setting_name(s), err->message);
    else
        log_write(s->log, LOG_WARNING, "replication origin \"%s\" is not used: %s", origin->name,
                  err->message);
}

enum origin_state
origin_take(struct origin *origin, struct session *s, uint64_t patience_millis, struct err *err)
{
    uint64_t deadline = clock_micros() + patience_millis * 1000;
    char database[16];

    if (find_database(s, database, err) != 0)
        return ORIGIN_FAILED;
    snprintf(origin->name, sizeof origin->name, "walpipe/%s/%s", database, origin->worker);
    for (;;) {
        struct outcome o = take_or_create(origin, s, err);

        if (is(o, ""))
            return ORIGIN_SET;
        if (PQstatus(s->conn) != CONNECTION_OK)
            return ORIGIN_FAILED;
        if (!is(o, "55006")) { /* object_in_use */
            warn(origin, s, o, err);
            return ORIGIN_UNUSED;
        }
        if (clock_micros() >= deadline)
            return ORIGIN_HELD;
        poll(NULL, 0, HELD_POLL_MILLIS);
    }
}

int
origin_held(const struct origin *origin, struct err *err)
{
    err_set(err, EXIT_PEER, "another session of the target uses replication origin \"%s\"",
            origin->name);
    return err_hint(
        err, "if it belongs to a worker that was killed, end it with pg_terminate_backend()");
}

/* ---- check ---- */

enum { CHECK_MAY, CHECK_LIMIT, CHECK_OTHERS };

/* Those of other workers and subscriptions may all be in use. */
static const char check_sql[] =
    "SELECT CASE WHEN pg_catalog.current_setting('server_version_num')::int < 140000 "
    "THEN pg_catalog.current_setting('is_superuser') = 'on' "
    "ELSE pg_catalog.has_function_privilege("
    "'pg_catalog.pg_replication_origin_create(text)', 'EXECUTE') AND (SELECT pg_catalog.bool_and("
    "pg_catalog.has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc "
    "WHERE proname = 'pg_replication_origin_session_setup') END, "
    "coalesce(pg_catalog.current_setting('max_active_replication_origins', true), "
    "pg_catalog.current_setting('max_replication_slots')), "
    "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_origin "
    "WHERE NOT pg_catalog.starts_with(roname, $1))";

void
origin_check(struct session *s, const char *pipeline, const char *sink, uint32_t workers,
             struct verdicts *verdicts)
{
    static const char what[] = "ask for replication origins";
    char prefix[ORIGIN_NAME_MAX];
    const char *params[] = {prefix};
    struct err err = {0};
    unsigned long limit, others;
    PGresult *r = NULL;

    if (find_prefix(s, pipeline, sink, prefix, &err) == 0)
        r = pqx_shaped(pqx_exec_params(s->conn, what, check_sql, 1, params, &err), what, 1, 1,
                       "vvv", &err);
    if (r == NULL) {
        verdict_fail(verdicts, NULL, &err);
        return;
    }
    limit = strtoul(PQgetvalue(r, 0, CHECK_LIMIT), NULL, 10);
    others = strtoul(PQgetvalue(r, 0, CHECK_OTHERS), NULL, 10);
    if (PQgetvalue(r, 0, CHECK_MAY)[0] != 't')
        verdict_say(verdicts, VERDICT_WARN,
                    "target: the role may not use replication origins, without which replication "
                    "in both directions would loop: " NEEDED_GRANTS);
    else if (others + workers > limit)
        verdict_say(
            verdicts, VERDICT_WARN,
            "target: %s = %lu may be too low for the replication origins of %" PRIu32
            " worker(s) and %lu others, without which replication in both directions would loop",
            setting_name(s), limit, workers, others);
    else
        verdict_say(verdicts, VERDICT_OK, "target: replication origins are permitted");
    PQclear(r);
}

/* ---- drop ---- */

int
origin_drop(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    uint64_t deadline = clock_micros() + DROP_PATIENCE_MILLIS * 1000;
    char prefix[ORIGIN_NAME_MAX];
    struct err why = {0};
    struct outcome o;

    if (find_prefix(s, pipeline, sink, prefix, err) != 0)
        return -1;
    for (;;) {
        o = run(s, drop_sql, prefix, &why);
        if (is(o, ""))
            return 0;
        if (!is(o, "55006") || clock_micros() >= deadline)
            break;
        poll(NULL, 0, HELD_POLL_MILLIS);
    }
    if (PQstatus(s->conn) != CONNECTION_OK) {
        *err = why;
        return -1;
    }
    log_write(s->log, LOG_WARNING,
              "the replication origins \"%s...\" of the target stay: %s; remove them with "
              "pg_replication_origin_drop()",
              prefix, why.message);
    return 0;
}
