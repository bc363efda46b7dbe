/* pgrelations.c: see pgrelations.h. Columns, key flags and type names are chosen as pgoutput does
 * in logicalrep_write_attrs() and logicalrep_write_typ(). */
#include "lib/pgrelations.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/pqx.h"

/* %s stands for the version's text for published columns, an index's key columns, and
 * attributes that are no columns. $1 is the list of publications. A table may be in several of
 * them. walpipe's own schema is never replicated. Types from 10000 on (FirstGenbkiObjectId) are
 * announced, domains by their base type and types of pg_catalog with an empty schema. */
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

static uint32_t
field_u32(const PGresult *r, int row, int field)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, field), NULL, 10);
}

char *
pgrelations_publications(const char names[][NAME_MAX_BYTES + 1], uint32_t count, struct err *err)
{
    char *out = malloc(count * (2 * NAME_MAX_BYTES + 3) + 3), *at = out;

    if (out == NULL) {
        err_set(err, EXIT_PEER, "out of memory for the names of publications");
        return NULL;
    }
    *at++ = '{';
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ',';
        *at++ = '"';
        for (const char *c = names[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                *at++ = '\\';
            *at++ = *c;
        }
        *at++ = '"';
    }
    *at++ = '}';
    *at = '\0';
    return out;
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
static int
fill(struct pgrelations *r, struct err *err)
{
    int rows = PQntuples(r->result);

    r->relations = calloc((size_t)rows + 1, sizeof *r->relations);
    r->partitioned = calloc((size_t)rows + 1, sizeof *r->partitioned);
    r->columns = calloc((size_t)rows + 1, sizeof *r->columns);
    if (r->relations == NULL || r->partitioned == NULL || r->columns == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the published tables");
    for (int row = 0; row < rows; row++) {
        uint32_t relid = field_u32(r->result, row, FIELD_OID);
        struct relation *rel = r->count > 0 ? &r->relations[r->count - 1] : NULL;

        if (rel == NULL || rel->relid != relid) {
            r->partitioned[r->count] = PQgetvalue(r->result, row, FIELD_KIND)[0] == 'p';
            rel = &r->relations[r->count++];
            rel->relid = relid;
            rel->replica_identity = PQgetvalue(r->result, row, FIELD_IDENTITY)[0];
            rel->schema = PQgetvalue(r->result, row, FIELD_SCHEMA);
            rel->name = PQgetvalue(r->result, row, FIELD_TABLE);
            rel->columns = &r->columns[row];
        }
        fill_column(&rel->columns[rel->columns_count++], r->result, row);
    }
    return 0;
}

/* The query for this version of the server. malloc'd, or NULL with err. */
static char *
question(int version, struct err *err)
{
    size_t size = sizeof columns_sql + 200;
    char *sql = malloc(size);

    if (sql == NULL)
        err_set(err, EXIT_PEER, "out of memory for a question");
    else
        snprintf(
            sql, size, columns_sql, version >= 150000 ? "p.attnames" : "NULL::pg_catalog.name[]",
            version >= 110000 ? "(i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]" : "i.indkey",
            version >= 120000 && version < 180000 ? "AND a.attgenerated = ''" : "");
    return sql;
}

int
pgrelations_read(struct pgrelations *r, PGconn *conn, const char *publications, struct err *err)
{
    static const char what[] = "read the published tables";
    const char *params[] = {publications};
    char *sql = question(PQserverVersion(conn), err);

    *r = (struct pgrelations){0};
    if (sql == NULL)
        return -1;
    r->result = pqx_exec_params(conn, what, sql, 1, params, err);
    free(sql);
    r->result = pqx_shaped(r->result, what, 0, PQX_ROWS, "vvvvvvvvvvv", err);
    return r->result == NULL ? -1 : fill(r, err);
}

void
pgrelations_free(struct pgrelations *r)
{
    free(r->relations);
    free(r->partitioned);
    free(r->columns);
    PQclear(r->result);
    *r = (struct pgrelations){0};
}
