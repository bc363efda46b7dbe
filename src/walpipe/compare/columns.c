/* columns.c: see columns.h. */
#include "walpipe/compare/columns.h"

#include <stdlib.h>
#include <string.h>

#include "lib/pqx.h"

/* Domains are resolved to their base types. Arrays of domains have no common text, since a domain
 * may have another precision on the other side. The two %s depend on the version. */
static const char columns_sql[] =
    "SELECT c.relkind, a.attname, b.oid, b.typmod,"
    "  pg_catalog.format('%%I.%%I', n.nspname, b.typname), b.typtype,"
    "  CASE WHEN s.typtype IN ('b', 'e', 'r', 'm') THEN ''"
    "  WHEN s.typtype = 'c' AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute i"
    "      WHERE i.attrelid = s.typrelid AND i.attnum > 0 AND i.atttypid >= 16384)"
    "    THEN (SELECT pg_catalog.string_agg(pg_catalog.format('%%s %%s %%s', i.attname, i.atttypid,"
    "        i.atttypmod), ',' ORDER BY i.attnum) FROM pg_catalog.pg_attribute i"
    "      WHERE i.attrelid = s.typrelid AND i.attnum > 0 AND NOT i.attisdropped) END,"
    "  coalesce(l.collname IN ('C', 'POSIX') OR l.collname = 'default' AND d.datcollate IN"
    "    ('C', 'POSIX') AND %s, false),"
    "  coalesce(k.place, 0), %s, NOT a.attnotnull "
    "FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace h ON h.oid = c.relnamespace "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "CROSS JOIN LATERAL (WITH RECURSIVE base AS ("
    "    SELECT y.*, a.atttypmod AS typmod FROM pg_catalog.pg_type y WHERE y.oid = a.atttypid"
    "    UNION ALL SELECT y.*, base.typtypmod FROM base JOIN pg_catalog.pg_type y"
    "      ON base.typtype = 'd' AND y.oid = base.typbasetype)"
    "  SELECT * FROM base WHERE typtype <> 'd') b "
    "JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace "
    "JOIN pg_catalog.pg_type s ON s.oid = CASE WHEN b.typelem <> 0 AND b.typlen = -1 THEN b.typelem"
    "  ELSE b.oid END "
    "JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() "
    "LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation "
    "LEFT JOIN LATERAL (SELECT p + 1 AS place FROM pg_catalog.pg_index i"
    "  CROSS JOIN LATERAL pg_catalog.generate_series(0, %s - 1) p"
    "  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL"
    "    AND (c.relreplident IN ('d', 'f') AND i.indisprimary"
    "      OR c.relreplident = 'i' AND i.indisreplident)"
    "    AND i.indkey[p] = a.attnum) k ON true "
    "WHERE h.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') ORDER BY a.attnum";

enum field {
    FIELD_RELKIND,
    FIELD_NAME,
    FIELD_OID,
    FIELD_TYPMOD,
    FIELD_TYPE,
    FIELD_KIND,
    FIELD_INSIDE,
    FIELD_BYTEWISE,
    FIELD_PLACE,
    FIELD_GENERATED,
    FIELD_NULLABLE
};

static const char *
value(const PGresult *rows, int row, enum field field)
{
    return PQgetvalue(rows, row, (int)field);
}

static void
fill(struct columns *columns, const PGresult *rows, struct pool *pool)
{
    int count = PQntuples(rows);

    columns->list = pool_take(pool, ((size_t)count + 1) * sizeof *columns->list);
    columns->count = (size_t)count;
    columns->exists = count > 0;
    columns->partitioned = count > 0 && value(rows, 0, FIELD_RELKIND)[0] == 'p';
    for (int i = 0; i < count; i++)
        columns->list[i] = (struct column){
            .name = pool_copy(pool, value(rows, i, FIELD_NAME)),
            .oid = (uint32_t)strtoul(value(rows, i, FIELD_OID), NULL, 10),
            .typmod = (int32_t)strtol(value(rows, i, FIELD_TYPMOD), NULL, 10),
            .type = pool_copy(pool, value(rows, i, FIELD_TYPE)),
            .kind = value(rows, i, FIELD_KIND)[0],
            .inside = PQgetisnull(rows, i, FIELD_INSIDE)
                          ? NULL
                          : pool_copy(pool, value(rows, i, FIELD_INSIDE)),
            .bytewise = value(rows, i, FIELD_BYTEWISE)[0] == 't',
            .place = (uint32_t)strtoul(value(rows, i, FIELD_PLACE), NULL, 10),
            .generated = value(rows, i, FIELD_GENERATED)[0] == 't',
            .nullable = value(rows, i, FIELD_NULLABLE)[0] == 't',
        };
}

int
columns_read(struct columns *columns, PGconn *conn, const char *schema, const char *table,
             struct pool *pool, struct err *err)
{
    static const char what[] = "read the columns of a table";
    const char *params[] = {schema, table};
    int version = PQserverVersion(conn);
    const char *sql =
        pool_print(pool, columns_sql, version >= 150000 ? "d.datlocprovider = 'c'" : "true",
                   version >= 120000 ? "a.attgenerated <> ''" : "false",
                   version >= 110000 ? "i.indnkeyatts" : "i.indnatts");
    PGresult *rows = pqx_shaped(pqx_exec_params(conn, what, sql, 2, params, err), what, 0, PQX_ROWS,
                                "vvvvvv?vvvv", err);

    *columns = (struct columns){0};
    if (rows == NULL)
        return -1;
    fill(columns, rows, pool);
    PQclear(rows);
    return 0;
}

const struct column *
columns_find(const struct columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++)
        if (strcmp(columns->list[i].name, name) == 0)
            return &columns->list[i];
    return NULL;
}
