/* session.c: see session.h. */
#include "pg-table-read/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/loginnote.h"
#include "lib/lsn.h"
#include "lib/opt.h"
#include "lib/pqconn.h"
#include "lib/pqx.h"

/* SizeOfXLogShortPHD and SizeOfXLogLongPHD. */
#define PAGE_HEADER_BYTES    24
#define SEGMENT_HEADER_BYTES 40

/* A timeout of a role would end every try of a long range. lock_timeout prevents long queues behind
 * our waiting lock. jit costs more than a range. */
static const char settings_sql[] =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
    "SET lock_timeout = '5s'; SET row_security = off; SET synchronize_seqscans = off;"
    "SET max_parallel_workers_per_gather = 0;"
    "SELECT pg_catalog.set_config(name, CASE name WHEN 'jit' THEN 'off' ELSE '0' END, false)"
    " FROM pg_catalog.pg_settings"
    " WHERE name IN ('jit', 'transaction_timeout', 'idle_session_timeout')";

PGconn *
session_open(const char *conninfo, const char *login_note, struct err *err)
{
    static const struct pqconn_keyword forced[] = {{"application_name", "walpipe copy"}};
    struct loginnote login = {.path = login_note};
    PGconn *conn = pqconn_open(conninfo, forced, 1, err);
    PGresult *result;

    if (conn == NULL) {
        (void)loginnote_forgives(&login, err);
        return NULL;
    }
    loginnote_worked(&login);
    result = pqconn_agree_on_text(conn, err) != 0
                 ? NULL
                 : pqx_exec(conn, "prepare the connection", settings_sql, err);
    PQclear(result);
    if (result != NULL)
        return conn;
    PQfinish(conn);
    return NULL;
}

/* The one row of an answer without NULLs, to be cleared. */
static PGresult *
row(PGconn *conn, const char *what, const char *sql, const char *columns, struct err *err)
{
    return pqx_shaped(pqx_exec(conn, what, sql, err), what, 1, 1, columns, err);
}

/* Takes the timeline, with which pg_walfile_name begins. */
static bool
take_timeline(const char *file, uint32_t *timeline)
{
    char digits[9];

    snprintf(digits, sizeof digits, "%.8s", file);
    *timeline = (uint32_t)strtoul(digits, NULL, 16);
    return *timeline > 0;
}

static int
refuse_standby(struct err *err)
{
    err_set(err, EXIT_REFUSED, "the server is a standby: rows cannot be copied from it");
    return err_hint(err, "its snapshots do not list the transactions that run on the primary; name "
                         "the primary, or add target_session_attrs=read-write");
}

int
session_identify(PGconn *conn, struct session_server *server, struct err *err)
{
    static const char what[] = "identify the source";
    static const char sql[] =
        "SELECT s.system_identifier, pg_catalog.current_database(),"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN '' ELSE"
        "   pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,"
        " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_block_size'),"
        " pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) "
        "FROM pg_catalog.pg_control_system() s";
    PGresult *result = row(conn, what, sql, "vvvvv", err);
    int ok;

    if (result == NULL)
        return -1;
    if (PQgetvalue(result, 0, 2)[0] == '\0') {
        PQclear(result);
        return refuse_standby(err);
    }
    *server = (struct session_server){0};
    snprintf(server->database, sizeof server->database, "%s", PQgetvalue(result, 0, 1));
    ok = opt_number("system_identifier", PQgetvalue(result, 0, 0), 1, UINT64_MAX,
                    &server->system_identifier, err) == 0 &&
         take_timeline(PQgetvalue(result, 0, 2), &server->timeline) &&
         opt_number("wal_block_size", PQgetvalue(result, 0, 3), 512, 1 << 20,
                    &server->wal_block_bytes, err) == 0 &&
         opt_number("wal_segment_size", PQgetvalue(result, 0, 4), 512, UINT64_C(1) << 31,
                    &server->wal_segment_bytes, err) == 0;
    PQclear(result);
    return ok ? 0 : err_set(err, EXIT_PEER, "the source's description of itself is malformed");
}

PGconn *
session_open_same(const char *conninfo, const char *login_note, const struct session_server *server,
                  struct err *err)
{
    PGconn *conn = session_open(conninfo, login_note, err);
    struct session_server other;

    if (conn == NULL)
        return NULL;
    if (session_identify(conn, &other, err) == 0) {
        if (other.system_identifier == server->system_identifier &&
            other.timeline == server->timeline)
            return conn;
        err_set(err, EXIT_PEER, "a connection leads to another server than the first one");
    }
    PQfinish(conn);
    return NULL;
}

const char *
session_snapshot_sql(const PGconn *conn)
{
    return PQserverVersion(conn) >= 130000 ? "pg_catalog.pg_current_snapshot()"
                                           : "pg_catalog.txid_current_snapshot()";
}

int
session_snapshot(PGconn *conn, struct snapshot *snapshot, struct err *err)
{
    char sql[80];
    PGresult *result;
    int rc;

    snprintf(sql, sizeof sql, "SELECT %s", session_snapshot_sql(conn));
    result = row(conn, "take a snapshot", sql, "v", err);
    if (result == NULL)
        return -1;
    rc = snapshot_parse(PQgetvalue(result, 0, 0), snapshot, err);
    PQclear(result);
    return rc;
}

uint64_t
session_mark(const struct session_server *server, uint64_t insert_lsn)
{
    uint64_t page = insert_lsn - insert_lsn % server->wal_block_bytes;
    uint64_t header =
        page % server->wal_segment_bytes == 0 ? SEGMENT_HEADER_BYTES : PAGE_HEADER_BYTES;

    return insert_lsn == page + header ? page : insert_lsn;
}

int
session_position(PGconn *conn, const struct session_server *server, uint64_t *lsn, struct err *err)
{
    PGresult *result = row(conn, "read the position of WAL",
                           "SELECT pg_catalog.pg_current_wal_insert_lsn()", "v", err);
    bool ok;

    if (result == NULL)
        return -1;
    ok = lsn_parse(PQgetvalue(result, 0, 0), lsn);
    PQclear(result);
    if (!ok)
        return err_set(err, EXIT_PEER, "the source's position of WAL is malformed");
    *lsn = session_mark(server, *lsn);
    return 0;
}
