/* takeover.c: see takeover.h. Nothing here decides who may commit. The epoch of progress.c does. */
#include "sink-pg/takeover.h"

#include <stdio.h>
#include <string.h>

/* pg_locks shows a bigint advisory lock as its two halves. */
static const char end_holder[] =
    "SELECT pg_catalog.pg_terminate_backend(l.pid) FROM pg_catalog.pg_locks AS l, "
    "pg_catalog.hashtextextended($1, 0) AS key WHERE l.locktype = 'advisory' AND l.granted "
    "AND l.objsubid = 1 AND l.pid <> pg_catalog.pg_backend_pid() "
    "AND l.database = (SELECT oid FROM pg_catalog.pg_database "
    "WHERE datname = pg_catalog.current_database()) "
    "AND l.classid::bigint = ((key >> 32) & 4294967295) AND l.objid::bigint = (key & 4294967295)";

static const char take_lock[] =
    "SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended($1, 0))";

/* A refusal by the server is no failure, but a lost connection is. */
static int
ask(struct session *s, const char *what, const char *sql, const char *name, bool *refused,
    struct err *err)
{
    const char *params[] = {name};
    PGresult *result = pqx_exec_params(s->conn, what, sql, 1, params, err);

    result = pqx_shaped(result, what, 0, PQX_ROWS, "v", err);
    *refused = result == NULL;
    if (result == NULL)
        return PQstatus(s->conn) == CONNECTION_OK ? 0 : -1;
    if (PQntuples(result) > 0 && strcmp(PQgetvalue(result, 0, 0), "t") == 0)
        log_write(s->log, LOG_WARNING,
                  "an earlier worker's session was still in the target and was ended");
    PQclear(result);
    return 0;
}

int
takeover(struct session *s, const char *pipeline, const struct hello *hello, struct err *err)
{
    struct err why = {0};
    char name[256];
    bool refused;

    snprintf(name, sizeof name, "walpipe/%s/%s/%u", pipeline, hello->sink, hello->shard);
    if (ask(s, "end an earlier worker's session", end_holder, name, &refused, &why) != 0)
        goto lost;
    if (refused)
        log_write(s->log, LOG_WARNING, "%s: the session is not ended", why.message);
    if (session_exec(s, "set lock_timeout", "SET lock_timeout = '5s'", &why) != 0 ||
        ask(s, "take the worker's lock", take_lock, name, &refused, &why) != 0 ||
        session_exec(s, "set lock_timeout", "SET lock_timeout = 0", &why) != 0)
        goto lost;
    return 0;
lost:
    *err = why;
    return -1;
}
