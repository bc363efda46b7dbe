/* catalog.c: see catalog.h. Columns, key flags and type names are chosen as pgoutput does in
 * logicalrep_write_attrs() and logicalrep_write_typ(). */
#include "walpipe/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/names.h"
#include "lib/pqconn.h"
#include "lib/pqmark.h"
#include "lib/pqsystem.h"
#include "lib/pqx.h"

/* %s: by version the published columns, an index's key columns, and what is no column. $1:
 * publications. A table may be in several of them. walpipe's own schema is never replicated. Types
 * from 10000 on (FirstGenbkiObjectId) are announced, domains by their base type and types of
 * pg_catalog with an empty schema. */
static const char columns_sql[] =
    "WITH published AS ("
    "  SELECT DISTINCT ON (c.oid) c.oid, n.nspname, c.relname, c.relreplident, c.relkind,"
    "    %s AS attnames"
    "  FROM pg_catalog.pg_publication_tables p"
    "  JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname"
    "  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
    "  WHERE p.pubname = ANY ($1::pg_catalog.text[]) AND n.nspname <> '" WALPIPE_SCHEMA "'"
    "  ORDER BY c.oid) "
    "SELECT t.oid, t.relreplident, t.nspname, t.relname, a.attname,"
    "  t.relreplident = 'f' OR coalesce(a.attnum = ANY (%s), false),"
    "  a.atttypid, a.atttypmod, coalesce(b.nspname, ''), coalesce(b.typname, ''), t.relkind "
    "FROM published t "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  AND (t.attnames IS NULL OR a.attname = ANY (t.attnames)) %s "
    "LEFT JOIN pg_catalog.pg_index i ON i.indrelid = t.oid AND i.indisvalid AND i.indimmediate"
    "  AND i.indpred IS NULL AND (t.relreplident = 'd' AND i.indisprimary"
    "    OR t.relreplident = 'i' AND i.indisreplident) "
    "LEFT JOIN LATERAL ("
    "  WITH RECURSIVE base AS ("
    "    SELECT y.* FROM pg_catalog.pg_type y WHERE y.oid = a.atttypid AND y.oid >= 10000"
    "    UNION ALL SELECT y.* FROM base JOIN pg_catalog.pg_type y"
    "      ON base.typtype = 'd' AND y.oid = base.typbasetype)"
    "  SELECT nullif(n.nspname, 'pg_catalog') AS nspname, base.typname FROM base"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = base.typnamespace WHERE base.typtype <> 'd'"
    ") b ON true "
    "ORDER BY t.oid, a.attnum";

enum columns_field {
    FIELD_OID,
    FIELD_IDENTITY,
    FIELD_SCHEMA,
    FIELD_TABLE,
    FIELD_COLUMN,
    FIELD_KEY,
    FIELD_TYPE,
    FIELD_TYPMOD,
    FIELD_TYPE_SCHEMA,
    FIELD_TYPE_NAME,
    FIELD_KIND
};

static const char source_sql[] =
    "SELECT pg_catalog.current_database(),"
    "  (SELECT confirmed_flush_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = $1),"
    "  CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
    "    ELSE pg_catalog.pg_current_wal_lsn() END,"
    "  (SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1),"
    "  (SELECT coalesce(bool_or(pubupdate OR pubdelete), false)"
    "   FROM pg_catalog.pg_publication WHERE pubname = ANY ($2::pg_catalog.text[]))";

enum source_field {
    SOURCE_DATABASE,
    SOURCE_CONFIRMED,
    SOURCE_CURRENT,
    SOURCE_ACTIVE,
    SOURCE_CHANGES
};

static uint32_t
field_u32(const PGresult *r, int row, int field)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, field), NULL, 10);
}

static void
fill_publications(struct hello *h, const char *list)
{
    struct err ignored;
    const char *at = list;

    /* config.c has checked the list. */
    while (at != NULL && h->publications_count < PUBLICATIONS_MAX &&
           names_next(&at, h->publications[h->publications_count], &ignored) == 0)
        h->publications_count++;
}

/* The publications as an array literal: {"a","b"}. */
static const char *
publications_literal(struct pool *pool, const struct hello *h)
{
    char *out = pool_take(pool, h->publications_count * (2 * NAME_MAX_BYTES + 3) + 3), *at = out;

    *at++ = '{';
    for (uint32_t i = 0; i < h->publications_count; i++) {
        if (i > 0)
            *at++ = ',';
        *at++ = '"';
        for (const char *c = h->publications[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                *at++ = '\\';
            *at++ = *c;
        }
        *at++ = '"';
    }
    *at = '}';
    return out;
}

/* The role may have limits that are meant for people. */
static int
lift_limits(PGconn *conn, struct err *err)
{
    PGresult *result = pqx_exec(conn, "prepare the session",
                                "SET statement_timeout = 0; SET lock_timeout = 0", err);

    PQclear(result);
    return result == NULL ? -1 : 0;
}

static int
read_source(struct catalog *c, PGconn *conn, const struct config *config, const char *publications,
            struct err *err)
{
    static const char what[] = "read the source's identity";
    const char *params[] = {config->source.slot, publications};
    PGresult *r = pqx_exec_params(conn, what, source_sql, 2, params, err);
    struct hello *h = &c->hello;

    r = pqx_shaped(r, what, 1, 1, "v???v", err);
    if (r == NULL)
        return -1;
    snprintf(h->stream, sizeof h->stream, "event");
    snprintf(h->program, sizeof h->program, "walpipe");
    snprintf(h->database, sizeof h->database, "%s", PQgetvalue(r, 0, SOURCE_DATABASE));
    snprintf(h->slot, sizeof h->slot, "%s", config->source.slot);
    h->server_version = (uint32_t)PQserverVersion(conn);
    h->proto_version = 1;
    c->slot_exists = !PQgetisnull(r, 0, SOURCE_CONFIRMED);
    c->slot_active = PQgetvalue(r, 0, SOURCE_ACTIVE)[0] == 't';
    /* A slot that is to be made begins about here. */
    if (!lsn_parse(PQgetvalue(r, 0, c->slot_exists ? SOURCE_CONFIRMED : SOURCE_CURRENT),
                   &h->start_lsn))
        h->start_lsn = 0;
    c->publishes_changes = PQgetvalue(r, 0, SOURCE_CHANGES)[0] == 't';
    PQclear(r);
    return run_id_new(&h->run_id, err);
}

static PGconn *
connect_source(const struct config *config, const char *replication, struct err *err)
{
    const struct pqconn_keyword forced[] = {{"application_name", "walpipe check"},
                                            {"replication", replication},
                                            {"password", config->source.password}};

    return pqconn_open(config->source.conninfo, forced, config->source.password == NULL ? 2 : 3,
                       err);
}

/* Only a walsender knows what timeline the server is on now, and where it came from. */
static int
read_system(struct catalog *c, const struct config *config, struct err *err)
{
    PGconn *conn = connect_source(config, "database", err);
    struct pqsystem system;
    int rc;

    if (conn == NULL)
        return -1;
    rc = pqsystem_identify(conn, &system, err);
    PQfinish(conn);
    if (rc != 0)
        return -1;
    c->hello.system_identifier = system.identifier;
    c->hello.timeline = system.timeline;
    c->hello.previous_timeline = system.previous_timeline;
    c->hello.switch_lsn = system.switch_lsn;
    return 0;
}

static void
fill_column(struct relation_column *col, const PGresult *r, int row)
{
    col->name = PQgetvalue(r, row, FIELD_COLUMN);
    col->key = PQgetvalue(r, row, FIELD_KEY)[0] == 't';
    col->type_oid = field_u32(r, row, FIELD_TYPE);
    col->typmod = (int32_t)strtol(PQgetvalue(r, row, FIELD_TYPMOD), NULL, 10);
    col->type_schema = PQgetvalue(r, row, FIELD_TYPE_SCHEMA);
    col->type_name = PQgetvalue(r, row, FIELD_TYPE_NAME);
}

/* The result's rows, ordered by table, as relations. */
static void
fill_relations(struct catalog *c, struct pool *pool)
{
    const PGresult *r = c->columns;
    int rows = PQntuples(r);
    struct relation_column *columns;

    c->relations = pool_take(pool, ((size_t)rows + 1) * sizeof *c->relations);
    c->partitioned = pool_take(pool, (size_t)rows + 1);
    columns = pool_take(pool, ((size_t)rows + 1) * sizeof *columns);
    for (int row = 0; row < rows; row++) {
        uint32_t relid = field_u32(r, row, FIELD_OID);
        struct relation *rel = c->count > 0 ? &c->relations[c->count - 1] : NULL;

        if (rel == NULL || rel->relid != relid) {
            c->partitioned[c->count] = PQgetvalue(r, row, FIELD_KIND)[0] == 'p';
            rel = &c->relations[c->count++];
            rel->relid = relid;
            rel->replica_identity = PQgetvalue(r, row, FIELD_IDENTITY)[0];
            rel->schema = PQgetvalue(r, row, FIELD_SCHEMA);
            rel->name = PQgetvalue(r, row, FIELD_TABLE);
            rel->columns = &columns[row];
        }
        fill_column(&rel->columns[rel->columns_count++], r, row);
    }
}

static int
read_columns(struct catalog *c, PGconn *conn, const char *publications, struct pool *pool,
             struct err *err)
{
    static const char what[] = "read the published tables";
    int version = PQserverVersion(conn);
    const char *params[] = {publications};
    const char *sql = pool_print(
        pool, columns_sql, version >= 150000 ? "p.attnames" : "NULL::pg_catalog.name[]",
        version >= 110000 ? "(i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]" : "i.indkey",
        version >= 120000 && version < 180000 ? "AND a.attgenerated = ''" : "");

    c->columns = pqx_exec_params(conn, what, sql, 1, params, err);
    c->columns = pqx_shaped(c->columns, what, 0, PQX_ROWS, "vvvvvvvvvvv", err);
    if (c->columns == NULL)
        return -1;
    fill_relations(c, pool);
    return 0;
}

int
catalog_unknown(struct catalog *c, const struct config *config, struct err *err)
{
    struct hello *h = &c->hello;

    *c = (struct catalog){0};
    fill_publications(h, config->source.publication);
    snprintf(h->stream, sizeof h->stream, "event");
    snprintf(h->program, sizeof h->program, "walpipe");
    snprintf(h->slot, sizeof h->slot, "%s", config->source.slot);
    h->proto_version = 1;
    return run_id_new(&h->run_id, err);
}

int
catalog_read(struct catalog *c, const struct config *config, struct pool *pool, struct err *err)
{
    const char *publications;

    *c = (struct catalog){0};
    fill_publications(&c->hello, config->source.publication);
    publications = publications_literal(pool, &c->hello);
    c->conn = connect_source(config, "false", err);
    if (c->conn == NULL)
        return -1;
    return lift_limits(c->conn, err) != 0 ||
                   read_source(c, c->conn, config, publications, err) != 0 ||
                   read_system(c, config, err) != 0 ||
                   pqmark_set(c->conn, &c->hello.run_id, err) != 0 ||
                   read_columns(c, c->conn, publications, pool, err) != 0
               ? -1
               : 0;
}

void
catalog_free(struct catalog *c)
{
    PQclear(c->columns);
    PQfinish(c->conn);
    *c = (struct catalog){0};
}

bool
catalog_has_identity(const struct relation *relation)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            return true;
    return relation->replica_identity == 'f';
}
