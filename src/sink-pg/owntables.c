/* owntables.c: see owntables.h. */
#include "sink-pg/owntables.h"

static int
ask(struct session *s, const char *sql, int count, const char *const *params, bool *yes,
    struct err *err)
{
    static const char what[] = "look for walpipe's tables in the target";
    PGresult *result =
        pqx_shaped(pqx_exec_params(s->conn, what, sql, count, params, err), what, 1, 1, "v", err);
    if (result == NULL)
        return -1;
    *yes = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return 0;
}

int
owntables_have_schema(struct session *s, bool *exists, struct err *err)
{
    return ask(s, "SELECT pg_catalog.to_regnamespace('walpipe') IS NOT NULL", 0, NULL, exists, err);
}

int
owntables_exist(struct session *s, const char *names, bool *exist, struct err *err)
{
    static const char sql[] =
        "SELECT pg_catalog.bool_and(pg_catalog.to_regclass('walpipe.' || n) IS NOT NULL) "
        "FROM pg_catalog.unnest(pg_catalog.string_to_array($1, ',')) AS n";
    const char *params[] = {names};

    return ask(s, sql, 1, params, exist, err);
}

int
owntables_has_column(struct session *s, const char *table, const char *column, bool *exists,
                     struct err *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = "
        "pg_catalog.to_regclass('walpipe.' || $1::text) AND attname = $2 AND NOT attisdropped)";
    const char *params[] = {table, column};

    return ask(s, sql, 2, params, exists, err);
}
