/* waiting.c: see waiting.h. */
#include "pg-table-read/waiting.h"

#include <stdlib.h>
#include <string.h>

#include "lib/pqx.h"
#include "pg-table-read/text.h"

/* A transaction releases its locks after it has become visible. A prepared one has no pid and keeps
 * its session's virtualtransaction. Those of other databases never wrote to our tables. */
static const char everybody_sql[] =
    "SELECT DISTINCT l.virtualtransaction || ' ' || coalesce(l.pid::pg_catalog.text, '')"
    " FROM pg_catalog.pg_locks l"
    " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'"
    " AND coalesce(a.datname = pg_catalog.current_database(), true)";

static const char writers_sql[] =
    "SELECT DISTINCT l.virtualtransaction || ' ' || coalesce(l.pid::pg_catalog.text, '')"
    " FROM pg_catalog.pg_locks l"
    " JOIN pg_catalog.pg_database d ON d.oid = l.database"
    "   AND d.datname = pg_catalog.current_database()"
    " WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY (%s)"
    " AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',"
    "   'AccessExclusiveLock')";

static PGresult *
list(const struct waiting *w, PGconn *conn, struct err *err)
{
    static const char what[] = "list the transactions that run";

    return pqx_shaped(pqx_exec(conn, what, w->sql, err), what, 0, PQX_ROWS, "v", err);
}

int
waiting_begin(struct waiting *w, PGconn *conn, const char *oids, bool everybody, struct err *err)
{
    *w = (struct waiting){0};
    w->sql = everybody ? strdup(everybody_sql) : text_print(writers_sql, oids);
    if (w->sql == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a question");
    w->listed = list(w, conn, err);
    if (w->listed == NULL)
        return -1;
    w->left = PQntuples(w->listed);
    w->gone = calloc((size_t)w->left + 1, sizeof *w->gone);
    return w->gone != NULL ? 0 : err_set(err, EXIT_PEER, "out of memory for transactions");
}

static bool
has_line(const PGresult *lines, const char *line)
{
    for (int i = 0; i < PQntuples(lines); i++)
        if (strcmp(PQgetvalue(lines, i, 0), line) == 0)
            return true;
    return false;
}

int
waiting_look(struct waiting *w, PGconn *conn, struct err *err)
{
    PGresult *now;

    if (w->left == 0)
        return 0;
    now = list(w, conn, err);
    if (now == NULL)
        return -1;
    for (int i = 0; i < PQntuples(w->listed); i++)
        if (!w->gone[i] && !has_line(now, PQgetvalue(w->listed, i, 0))) {
            w->gone[i] = true;
            w->left--;
        }
    PQclear(now);
    return 0;
}

void
waiting_free(struct waiting *w)
{
    free(w->sql);
    free(w->gone);
    PQclear(w->listed);
    *w = (struct waiting){0};
}
