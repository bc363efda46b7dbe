/* session.c: see session.h. Must not know the stream. */
#include "sink-pg/session.h"

#include <string.h>

#include "lib/pqconn.h"

/* ALTER ROLE ... SET or a server's defaults could change these (traps 67, 78, 97). pqconn sets
 * those that the text of values depends on. Joins of a batch with its table must use an index
 * regardless of the statistics, because a sequential scan of a big table for each batch is the
 * worst case (trap 96). The costs of the disabled nodes would trigger jit, so it is off. */
static const char settings[] = "SET standard_conforming_strings = on;"
                               "SET default_transaction_read_only = off;"
                               "SET default_transaction_isolation = 'read committed';"
                               "SET default_transaction_deferrable = off;"
                               "SET statement_timeout = 0;"
                               "SET lock_timeout = 0;"
                               "SET idle_in_transaction_session_timeout = 0;"
                               "SET row_security = off;"
                               "SET check_function_bodies = off;"
                               "SET synchronize_seqscans = off;"
                               "SET enable_hashjoin = off;"
                               "SET enable_mergejoin = off;"
                               "SET enable_seqscan = off;"
                               "SET max_parallel_workers_per_gather = 0;"
                               "SET plan_cache_mode = 'force_generic_plan';"
                               "SET jit = off";

/* remote_apply promises more than on, all others less. */
static const char durable[] =
    "SELECT pg_catalog.set_config('synchronous_commit', CASE "
    "pg_catalog.current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' "
    "ELSE 'on' END, false)";

int
session_exec(struct session *s, const char *what, const char *sql, struct err *err)
{
    PGresult *result = pqx_exec(s->conn, what, sql, err);

    if (result == NULL)
        return -1;
    PQclear(result);
    return 0;
}

int
session_run(struct session *s, const char *what, const char *sql, int count,
            const char *const *params, struct err *err)
{
    PGresult *result = pqx_exec_params(s->conn, what, sql, count, params, err);

    PQclear(result);
    return result == NULL ? -1 : 0;
}

PGresult *
session_ask(struct session *s, const char *what, const char *sql, int count,
            const char *const *params, const char *columns, struct err *err)
{
    return pqx_shaped(pqx_exec_params(s->conn, what, sql, count, params, err), what, 0, PQX_ROWS,
                      columns, err);
}

static int
check_server(struct session *s, struct err *err)
{
    static const char what[] = "ask for the target's encoding and privileges";
    PGresult *result;
    bool utf8;

    if (PQserverVersion(s->conn) < 120000) {
        err_set(err, EXIT_REFUSED, "the target server is version %d, which is too old",
                PQserverVersion(s->conn));
        return err_hint(err, "sink-pg needs PostgreSQL 12 or newer");
    }
    result = pqx_exec(s->conn, what,
                      "SELECT pg_catalog.getdatabaseencoding() = 'UTF8', "
                      "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP')",
                      err);
    result = pqx_shaped(result, what, 1, 1, "vv", err);
    if (result == NULL)
        return -1;
    utf8 = PQgetvalue(result, 0, 0)[0] == 't';
    s->no_temp = PQgetvalue(result, 0, 1)[0] != 't';
    PQclear(result);
    if (!utf8 && !s->warned)
        log_write(s->log, LOG_WARNING,
                  "the target database's encoding is not UTF8: a character it does not have will "
                  "stop the sink");
    if (s->no_temp && !s->warned)
        log_write(s->log, LOG_WARNING,
                  "the target's role may not create temporary tables: mixed changes are applied "
                  "one by one, which is slower");
    return 0;
}

/* A backend that waits for a lock would not see that we are dead, and would keep its own locks. Not
 * every platform lets a server check. A connection that failed here fails at the next command. */
static void
let_server_notice_our_end(struct session *s)
{
    struct err ignored = {0};

    if (session_exec(s, "set the session", "SET client_connection_check_interval = '5s'",
                     &ignored) != 0 &&
        !s->warned)
        log_write(s->log, LOG_INFO, "%s: a killed worker's session may stay in the target",
                  ignored.message);
}

static int
set_newer_settings(struct session *s, struct err *err)
{
    int version = PQserverVersion(s->conn);

    if (version >= 140000)
        let_server_notice_our_end(s);
    if (version >= 140000 &&
        session_exec(s, "set the session", "SET idle_session_timeout = 0", err) != 0)
        return -1;
    if (version >= 170000 &&
        session_exec(s, "set the session", "SET transaction_timeout = 0", err) != 0)
        return -1;
    return 0;
}

/* Foreign keys and ordinary triggers then do not fire, as in PostgreSQL's own apply (trap 84). */
static int
become_replica(struct session *s, struct err *err)
{
    PGresult *result = PQexec(s->conn, "SET session_replication_role = replica");
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    int rc = 0;

    s->replica = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!s->replica && (sqlstate == NULL || strcmp(sqlstate, "42501") != 0))
        rc = pqx_error(s->conn, result, "set session_replication_role", err);
    PQclear(result);
    if (rc == 0 && !s->replica && !s->warned)
        log_write(s->log, LOG_WARNING,
                  "the target's role may not set session_replication_role: triggers and foreign "
                  "keys fire, and changes are applied in the source's order, which is slower");
    return rc;
}

/* A login that worked before and is refused now is tried again, and the log must show that. */
static void
note_refusal(struct session *s, struct err *err)
{
    if (!loginnote_forgives(&s->login, err) || s->refused)
        return;
    s->refused = true;
    log_write(s->log, LOG_ERROR, "the target refuses a login that worked before: %s; %s",
              err->message, err->hint);
}

int
session_open(struct session *s, struct err *err)
{
    const struct pqconn_keyword forced[] = {
        {"application_name", s->application_name},
        /* Not read-write, which checks default_transaction_read_only, because we override that. */
        {"target_session_attrs", "primary"},
    };

    s->tx_open = false;
    s->generation++;
    s->conn = pqconn_open(s->conninfo, forced, sizeof forced / sizeof *forced, err);
    if (s->conn == NULL) {
        note_refusal(s, err);
        return -1;
    }
    loginnote_worked(&s->login);
    s->refused = false;
    if (pqconn_agree_on_text(s->conn, err) != 0 ||
        session_exec(s, "set the session", settings, err) != 0 ||
        session_exec(s, "set synchronous_commit", durable, err) != 0 ||
        set_newer_settings(s, err) != 0 || check_server(s, err) != 0 ||
        become_replica(s, err) != 0) {
        session_close(s);
        return -1;
    }
    s->warned = true;
    return 0;
}

void
session_close(struct session *s)
{
    PQfinish(s->conn);
    s->conn = NULL;
    s->tx_open = false;
}

int
session_forget(struct session *s, struct err *err)
{
    s->generation++;
    return session_exec(s, "reset the session", "DEALLOCATE ALL; DISCARD TEMP", err);
}

void
session_rollback(struct session *s)
{
    struct err ignored;

    if (s->conn != NULL && s->tx_open && session_exec(s, "roll back", "ROLLBACK", &ignored) != 0)
        session_close(s);
    s->tx_open = false;
}
