/* sourcetables.c: see sourcetables.h. */
#include "walpipe/sourcetables.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/names.h"
#include "lib/pgrelations.h"
#include "lib/pqconn.h"
#include "lib/pqx.h"

/* %s are a table's blocks, and its leaves, which depend on the version. The names are looked up as
 * pgrelations.c does it. */
static const char tables_sql[] =
    "WITH published AS ("
    "  SELECT DISTINCT c.oid, n.nspname, c.relname"
    "  FROM pg_catalog.pg_publication_tables p"
    "  JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname"
    "  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
    "  WHERE p.pubname = ANY ($1::pg_catalog.text[]) AND n.nspname <> '" WALPIPE_SCHEMA "')"
    "SELECT t.oid, t.nspname, t.relname, c.oid,"
    "  coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), coalesce(%s, 0),"
    "  pg_catalog.current_setting('block_size') "
    "FROM published t LEFT JOIN pg_catalog.pg_class c ON c.relkind = 'r' AND (c.oid %s) "
    "ORDER BY t.oid, c.oid";

static const char leaves_sql[] = "= t.oid OR c.oid IN (SELECT l.relid FROM "
                                 "pg_catalog.pg_partition_tree(t.oid) l WHERE l.isleaf)";

/* The current size needs a lock for a moment. If that is not available, the size of the last VACUUM
 * or ANALYZE is used. */
static const char blocks_now[] = "pg_catalog.pg_relation_size(c.oid) / "
                                 "pg_catalog.current_setting('block_size')::pg_catalog.int8";
static const char blocks_then[] = "greatest(c.relpages, 0)";

enum field {
    FIELD_RELID,
    FIELD_SCHEMA,
    FIELD_NAME,
    FIELD_OID,
    FIELD_FILE,
    FIELD_BLOCKS,
    FIELD_BLOCK_SIZE
};

static const char limits_sql[] = "SET lock_timeout = '1s'; SET statement_timeout = '20s'";

static uint64_t
number(const PGresult *rows, int row, enum field field)
{
    return strtoull(PQgetvalue(rows, row, (int)field), NULL, 10);
}

/* Each row is a part, or a partitioned table without one. */
static void
fill(struct sourcetables *s, const PGresult *rows, struct pool *pool)
{
    size_t count = (size_t)PQntuples(rows);
    struct source_part *parts = pool_take(pool, (count + 1) * sizeof *parts);

    s->tables = pool_take(pool, (count + 1) * sizeof *s->tables);
    for (int i = 0; i < (int)count; i++) {
        struct source_table *table = s->count > 0 ? &s->tables[s->count - 1] : NULL;
        uint32_t relid = (uint32_t)number(rows, i, FIELD_RELID);

        if (table == NULL || table->relid != relid) {
            table = &s->tables[s->count++];
            *table =
                (struct source_table){.relid = relid,
                                      .schema = pool_copy(pool, PQgetvalue(rows, i, FIELD_SCHEMA)),
                                      .name = pool_copy(pool, PQgetvalue(rows, i, FIELD_NAME)),
                                      .parts = parts + i};
        }
        s->block_size = number(rows, i, FIELD_BLOCK_SIZE);
        if (!PQgetisnull(rows, i, FIELD_OID))
            table->parts[table->parts_count++] =
                (struct source_part){.oid = (uint32_t)number(rows, i, FIELD_OID),
                                     .file = (uint32_t)number(rows, i, FIELD_FILE),
                                     .blocks = number(rows, i, FIELD_BLOCKS)};
    }
    s->known = true;
}

static PGresult *
ask_with(PGconn *conn, const char *publications, const char *blocks, struct err *err)
{
    static const char what[] = "read the sizes of the published tables";
    const char *params[] = {publications};
    char sql[sizeof tables_sql + sizeof leaves_sql + sizeof blocks_now];

    snprintf(sql, sizeof sql, tables_sql, blocks,
             PQserverVersion(conn) >= 130000 ? leaves_sql : "= t.oid");
    return pqx_shaped(pqx_exec_params(conn, what, sql, 1, params, err), what, 0, PQX_ROWS,
                      "vvv?vvv", err);
}

static int
ask(struct sourcetables *s, PGconn *conn, const char *publications, struct pool *pool,
    struct err *err)
{
    PGresult *rows = pqx_exec(conn, "set the session", limits_sql, err);

    PQclear(rows);
    if (rows == NULL)
        return -1;
    rows = ask_with(conn, publications, blocks_now, err);
    if (rows == NULL && PQstatus(conn) == CONNECTION_OK)
        rows = ask_with(conn, publications, blocks_then, err);
    if (rows == NULL)
        return -1;
    fill(s, rows, pool);
    PQclear(rows);
    return 0;
}

/* config.c has checked the list. Returns NULL with err when memory is out. */
static char *
publications_of(const struct config *config, struct err *err)
{
    static char names[PUBLICATIONS_MAX][NAME_MAX_BYTES + 1];
    const char *at = config->source.publication;
    uint32_t count = 0;

    while (at != NULL && count < PUBLICATIONS_MAX && names_next(&at, names[count], err) == 0)
        count++;
    return pgrelations_publications((const char(*)[NAME_MAX_BYTES + 1]) names, count, err);
}

void
sourcetables_read(struct sourcetables *s, const struct config *config, struct pool *pool)
{
    struct err err = {0};
    PGconn *conn =
        pqconn_open_as(config->source.conninfo, "walpipe tables", config->source.password, &err);
    char *publications = conn == NULL ? NULL : publications_of(config, &err);

    *s = (struct sourcetables){0};
    if (publications == NULL || ask(s, conn, publications, pool, &err) != 0)
        s->why = pool_copy(pool, err.message);
    free(publications);
    PQfinish(conn);
}
