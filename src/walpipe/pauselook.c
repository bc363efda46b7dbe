/* pauselook.c: see pauselook.h. */
#include "walpipe/pauselook.h"

#include <stdio.h>
#include <string.h>

#include "lib/pqconn.h"
#include "lib/pqx.h"

/* The state is that of a running walpipe. The setting tells of one that does not run. A '*' names
 * walpipe as well, if no other standby comes first. */
static const char settings_sql[] =
    "SELECT pg_catalog.current_setting('synchronous_standby_names'),"
    " coalesce((SELECT r.sync_state FROM pg_catalog.pg_stat_replication r"
    "  JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_name = $1), ''),"
    " coalesce(pg_catalog.current_setting('max_slot_wal_keep_size', true), '-1')";

static PGresult *
ask(const struct source_config *source, struct err *err)
{
    static const char what[] = "ask for the settings of the source";
    const char *params[] = {source->slot};
    PGconn *conn = pqconn_open_as(source->conninfo, "walpipe", source->password, err);
    PGresult *rows;

    if (conn == NULL)
        return NULL;
    rows = pqx_exec_params(conn, what, settings_sql, 1, params, err);
    rows = pqx_shaped(rows, what, 1, 3, "vvv", err);
    PQfinish(conn);
    return rows;
}

static int
check_synchronous(const char *names, const char *state, struct err *err)
{
    bool waits = state[0] == '\0' ? strchr(names, '*') != NULL || strstr(names, "walpipe") != NULL
                                  : strcmp(state, "async") != 0;

    if (!waits)
        return 0;
    err_set(err, EXIT_REFUSED,
            "synchronous_standby_names = '%s' of the source names walpipe, so commits there would "
            "wait until the sink is resumed",
            names);
    return err_hint(err, "take walpipe out of synchronous_standby_names, run SELECT "
                         "pg_reload_conf(), and pause the sink then");
}

int
pauselook_ask(struct pauselook *look, const struct config *config, const struct log *log,
              struct err *err)
{
    struct err why = {0};
    PGresult *rows = ask(&config->source, &why);
    int rc;

    *look = (struct pauselook){0};
    if (rows == NULL) {
        log_write(log, LOG_WARNING,
                  "the source was not asked whether its commits wait for walpipe: %s", why.message);
        return 0;
    }
    look->known = true;
    snprintf(look->keep_size, sizeof look->keep_size, "%s", PQgetvalue(rows, 0, 2));
    rc = check_synchronous(PQgetvalue(rows, 0, 0), PQgetvalue(rows, 0, 1), err);
    PQclear(rows);
    return rc;
}
