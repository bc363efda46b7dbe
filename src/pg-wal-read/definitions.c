/* definitions.c: see definitions.h. */
#include "pg-wal-read/definitions.h"

#include <stdio.h>
#include <string.h>

#include "lib/pqx.h"

/* pg_publication_namespace exists since 15. */
#define SCHEMAS_SINCE 150000

/* Oids from here on are not those of the server's own tables. */
#define FIRST_USER_OID "16384"

/* Each row of a catalog with the transaction that wrote it. ANALYZE and VACUUM change pg_class in
 * place, so the transaction stays. */
#define ROWS                                                                                       \
    "SELECT pg_catalog.concat('p', oid, ':', xmin) AS x FROM pg_catalog.pg_publication"            \
    " UNION ALL SELECT pg_catalog.concat('r', oid, ':', xmin) FROM pg_catalog.pg_publication_rel"  \
    " UNION ALL SELECT pg_catalog.concat('c', oid, ':', xmin) FROM pg_catalog.pg_class"            \
    " WHERE oid >= " FIRST_USER_OID " AND relkind IN ('r', 'p') AND relpersistence = 'p'"          \
    " UNION ALL SELECT pg_catalog.concat('a', a.attrelid, '.', a.attnum, ':', a.xmin)"             \
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"             \
    " WHERE c.oid >= " FIRST_USER_OID " AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'"    \
    " UNION ALL SELECT pg_catalog.concat('i', i.indexrelid, ':', i.xmin)"                          \
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid"                 \
    " WHERE c.oid >= " FIRST_USER_OID " AND c.relpersistence = 'p'"                                \
    " UNION ALL SELECT pg_catalog.concat('h', inhrelid, '.', inhparent) FROM "                     \
    "pg_catalog.pg_inherits"

#define SCHEMAS                                                                                    \
    " UNION ALL SELECT pg_catalog.concat('n', oid, ':', xmin)"                                     \
    " FROM pg_catalog.pg_publication_namespace"

int
definitions_read(PGconn *conn, uint32_t server_version, struct definitions *definitions,
                 struct err *err)
{
    static const char what[] = "read the definitions of tables and publications";
    char sql[2048];
    PGresult *result;

    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(x, ' ' ORDER BY x), ''))"
             " FROM (" ROWS "%s) rows",
             server_version >= SCHEMAS_SINCE ? SCHEMAS : "");
    result = pqx_shaped(pqx_exec(conn, what, sql, err), what, 1, 1, "v", err);
    if (result == NULL)
        return -1;
    snprintf(definitions->digest, sizeof definitions->digest, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return 0;
}

bool
definitions_equal(const struct definitions *a, const struct definitions *b)
{
    return strcmp(a->digest, b->digest) == 0;
}
