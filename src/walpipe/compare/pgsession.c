/* pgsession.c: see pgsession.h. */
#include "walpipe/compare/pgsession.h"

#include "lib/pqconn.h"
#include "lib/pqx.h"

/* A serializable reader can make writers fail. */
static const char settings_sql[] =
    "SET default_transaction_read_only = on;"
    "SET default_transaction_isolation = 'read committed'; SET statement_timeout = 0; SET "
    "lock_timeout = '5s';"
    "SET idle_in_transaction_session_timeout = 0; SET row_security = off;"
    "SET max_parallel_workers_per_gather = 0;"
    "SELECT pg_catalog.set_config(name, CASE name WHEN 'jit' THEN 'off' ELSE '0' END, false)"
    " FROM pg_catalog.pg_settings"
    " WHERE name IN ('jit', 'transaction_timeout', 'idle_session_timeout')";

/* Of several hosts the sink takes the primary, and a standby may be behind. */
PGconn *
pgsession_open(const char *conninfo, const char *password, struct err *err)
{
    const struct pqconn_keyword forced[] = {{"application_name", "walpipe compare"},
                                            {"target_session_attrs", "primary"},
                                            {"password", password}};
    PGconn *conn = pqconn_open(conninfo, forced, password == NULL ? 2 : 3, err);
    PGresult *result = conn == NULL || pqconn_agree_on_text(conn, err) != 0
                           ? NULL
                           : pqx_exec(conn, "prepare the connection", settings_sql, err);

    PQclear(result);
    if (result != NULL)
        return conn;
    PQfinish(conn);
    return NULL;
}
