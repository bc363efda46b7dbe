/* published.c: see published.h. */
#include "walpipe/compare/published.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/pgrelations.h"
#include "lib/pqx.h"

/* A row is sent if a publication's filter takes it. One without a filter takes all. */
static const char filter_sql[] =
    "SELECT CASE WHEN bool_or(p.rowfilter IS NULL) THEN NULL"
    " ELSE string_agg('(' || p.rowfilter || ')', ' OR ' ORDER BY p.pubname) END "
    "FROM pg_publication_tables p"
    " JOIN pg_namespace n ON n.nspname = p.schemaname"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename "
    "WHERE p.pubname = ANY ($1::text[]) AND c.oid = $2::oid";

int
published_filter(PGconn *conn, const struct hello *hello, uint32_t relid, const char **filter,
                 struct pool *pool, struct err *err)
{
    static const char what[] = "read a row filter";
    char oid[16], *publications;
    const char *params[2] = {NULL, oid};
    PGresult *row;

    *filter = NULL;
    if (PQserverVersion(conn) < 150000)
        return 0;
    publications = pgrelations_publications(hello->publications, hello->publications_count, err);
    if (publications == NULL)
        return -1;
    params[0] = publications;
    snprintf(oid, sizeof oid, "%u", relid);
    row = pqx_shaped(pqx_exec_params(conn, what, filter_sql, 2, params, err), what, 1, 1, "?", err);
    free(publications);
    if (row == NULL)
        return -1;
    if (!PQgetisnull(row, 0, 0))
        *filter = pool_copy(pool, PQgetvalue(row, 0, 0));
    PQclear(row);
    return 0;
}
