/* keysql.c: see keysql.h. */
#include "pg-table-read/keysql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/pqx.h"
#include "pg-table-read/text.h"

/* %s is the number of an index's key columns, which depends on the version. Only btree indexes can
 * be an identity, and strategy 3 is their equality. The cast gives the text its type. */
static const char match_sql[] =
    "SELECT pg_catalog.count(*), pg_catalog.string_agg(pg_catalog.format("
    "  't.%%I OPERATOR(%%I.%%s) (k.c%%s::%%I.%%I)', x.attname, x.opspace, x.oprname, x.place,"
    "  x.typspace, x.typname), ' AND ' ORDER BY x.place) "
    "FROM (SELECT a.attname, o.oprname, os.nspname AS opspace, ts.nspname AS typspace, y.typname,"
    "    row_number() OVER (ORDER BY a.attnum) AS place"
    "  FROM pg_catalog.pg_class h"
    "  JOIN pg_catalog.pg_index i ON i.indrelid = h.oid AND (h.relreplident = 'd' AND "
    "i.indisprimary"
    "    OR h.relreplident = 'i' AND i.indisreplident)"
    "  CROSS JOIN LATERAL pg_catalog.generate_series(0, %s - 1) s"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = h.oid AND a.attnum = i.indkey[s]"
    "  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
    "  JOIN pg_catalog.pg_namespace ts ON ts.oid = y.typnamespace"
    "  JOIN pg_catalog.pg_opclass c ON c.oid = i.indclass[s]"
    "  JOIN pg_catalog.pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3"
    "    AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype"
    "  JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr"
    "  JOIN pg_catalog.pg_namespace os ON os.oid = o.oprnamespace"
    "  WHERE h.oid = %" PRIu32 ") x";

/* Looks up each key by itself through the index. */
static const char plan_sql[] = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
                               "SET LOCAL enable_seqscan = off;";

char *
keysql_match(PGconn *conn, const struct relation *relation, struct err *err)
{
    static const char what[] = "ask how keys are compared";
    char *sql =
        text_print(match_sql, PQserverVersion(conn) >= 110000 ? "i.indnkeyatts" : "i.indnatts",
                   relation->relid);
    PGresult *result =
        sql == NULL ? NULL : pqx_shaped(pqx_exec(conn, what, sql, err), what, 1, 1, "v?", err);
    char *match;
    bool same;

    if (sql == NULL)
        err_set(err, EXIT_PEER, "out of memory for a question");
    free(sql);
    if (result == NULL)
        return NULL;
    same = strtoul(PQgetvalue(result, 0, 0), NULL, 10) == catalog_key_columns(relation);
    match = text_print("%s", same ? PQgetvalue(result, 0, 1) : "");
    if (match == NULL)
        err_set(err, EXIT_PEER, "out of memory for a key");
    PQclear(result);
    return match;
}

static void
append_identifier(struct buf *sql, PGconn *conn, const char *name)
{
    char *quoted = PQescapeIdentifier(conn, name, strlen(name));

    text_append(sql, quoted);
    PQfreemem(quoted);
}

char *
keysql_from(PGconn *conn, const struct relation *relation, const struct catalog_part *part)
{
    struct buf from = {0};

    if (!part->whole)
        text_append(&from, "ONLY ");
    append_identifier(&from, conn, relation->schema);
    text_append(&from, ".");
    append_identifier(&from, conn, relation->name);
    buf_append(&from, "", 1);
    if (!from.failed)
        return (char *)from.data;
    buf_free(&from);
    return NULL;
}

void
keysql_columns(struct buf *sql, PGconn *conn, const struct relation *relation, const char *prefix)
{
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        text_append(sql, ", ");
        text_append(sql, prefix);
        append_identifier(sql, conn, relation->columns[i].name);
    }
}

/* (0,'a','b'),(1,... */
static void
append_keys(struct buf *sql, PGconn *conn, const struct range_order *order)
{
    const struct buf *keys = &order->keys.keys;
    struct cursor c = cursor_over(keys->data + keys->start, buf_len(keys));
    struct value values[COLUMNS_MAX];
    struct tuple key;
    char number[16];

    for (uint32_t n = 0; n < order->keys.count; n++) {
        if (!copydetail_key_next(&c, catalog_key_columns(order->relation), &key, values)) {
            sql->failed = true;
            return;
        }
        snprintf(number, sizeof number, "%s(%" PRIu32, n == 0 ? "" : ",", n);
        text_append(sql, number);
        for (uint32_t i = 0; i < key.count; i++) {
            char *literal =
                PQescapeLiteral(conn, (const char *)key.values[i].data, key.values[i].len);

            text_append(sql, ",");
            text_append(sql, literal);
            PQfreemem(literal);
        }
        text_append(sql, ")");
    }
}

/* k(n, c1, c2, ...) */
static void
append_names(struct buf *sql, uint32_t columns)
{
    char name[16];

    text_append(sql, "k(n");
    for (uint32_t i = 1; i <= columns; i++) {
        snprintf(name, sizeof name, ",c%" PRIu32, i);
        text_append(sql, name);
    }
    text_append(sql, ")");
}

/* Without keys only the snapshot and the mark matter. */
void
keysql_append(struct buf *sql, PGconn *conn, const struct range_order *order, const char *from)
{
    if (order->kind == RANGE_ASKS) {
        text_append(sql, "COPY (SELECT 0 WHERE false) TO STDOUT; ");
        return;
    }
    text_append(sql, plan_sql);
    text_append(sql, "COPY (SELECT k.n");
    keysql_columns(sql, conn, order->relation, "t.");
    text_append(sql, " FROM (VALUES ");
    append_keys(sql, conn, order);
    text_append(sql, ") ");
    append_names(sql, catalog_key_columns(order->relation));
    text_append(sql, " LEFT JOIN (SELECT * FROM ");
    text_append(sql, from);
    if (order->part->filter != NULL) {
        text_append(sql, " WHERE ");
        text_append(sql, order->part->filter);
    }
    text_append(sql, ") t ON ");
    text_append(sql, order->match);
    text_append(sql, ") TO STDOUT; ");
}
