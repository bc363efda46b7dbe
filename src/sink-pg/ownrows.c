/* ownrows.c: see ownrows.h. */
#include "sink-pg/ownrows.h"

#include "sink-pg/sqltext.h"

int
ownrows_name(struct session *s, const char *schema, const char *name, struct buf *rows,
             struct err *err)
{
    static const char what[] = "look what the target's table is";
    static const char sql[] =
        "SELECT c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    const char *const target[] = {schema, name};
    PGresult *result =
        pqx_shaped(pqx_exec_params(s->conn, what, sql, 2, target, err), what, 0, 1, "v", err);

    if (result == NULL)
        return -1;
    if (PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 'r')
        sqltext_add(rows, "ONLY ");
    PQclear(result);
    sqltext_name(rows, schema);
    sqltext_add(rows, ".");
    sqltext_name(rows, name);
    return sqltext_get(rows) != NULL ? 0
                                     : err_set(err, EXIT_PEER, "out of memory for a table's name");
}
