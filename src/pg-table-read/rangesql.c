/* rangesql.c: see rangesql.h. */
#include "pg-table-read/rangesql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg-table-read/text.h"

/* The lock comes before the snapshot: one from before a rewrite would see an empty table. The
 * position of WAL is read while the SELECT runs, so after its snapshot was taken. */
static const char begin_sql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                                "LOCK TABLE ONLY %s IN ACCESS SHARE MODE;"
                                "SELECT %s, pg_catalog.pg_relation_filenode(c.oid),"
                                " pg_catalog.pg_relation_size(c.oid)"
                                "   / pg_catalog.current_setting('block_size')::pg_catalog.int8,"
                                " pg_catalog.pg_current_wal_insert_lsn(),"
                                " %s, %s FROM pg_catalog.pg_class c"
                                " WHERE c.oid = %" PRIu32 " AND c.oid = %s::pg_catalog.regclass;";

/* The rows must come in the order of their ctid: no plan may do otherwise. */
static const char order_sql[] =
    "SET LOCAL enable_tidscan = on; SET LOCAL enable_seqscan = off;"
    "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off;"
    "SET LOCAL enable_bitmapscan = off;";

static char *
begin(PGconn *conn, const char *publications, const struct catalog_part *part)
{
    char relid[16], *literal, *name, *definition, *shape, *sql;

    snprintf(relid, sizeof relid, "%" PRIu32, part->relid);
    literal = PQescapeLiteral(conn, publications, strlen(publications));
    name = PQescapeLiteral(conn, part->name, strlen(part->name));
    definition = literal == NULL ? NULL : catalog_definition_sql(PQserverVersion(conn), literal);
    shape = catalog_shape_sql(relid);
    sql = name == NULL || definition == NULL || shape == NULL
              ? NULL
              : text_print(begin_sql, part->name, session_snapshot_sql(conn), definition, shape,
                           part->oid, name);
    PQfreemem(literal);
    PQfreemem(name);
    free(definition);
    free(shape);
    return sql;
}

static void
append(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

static void
append_columns(struct buf *b, PGconn *conn, const struct relation *relation)
{
    append(b, "ctid");
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const char *name = relation->columns[i].name;
        char *quoted = PQescapeIdentifier(conn, name, strlen(name));

        append(b, ", ");
        if (quoted == NULL)
            b->failed = true;
        else
            append(b, quoted);
        PQfreemem(quoted);
    }
}

/* Before 14 there is no scan of a range of ctids: each possible one is named then. A page has a
 * header of 24 bytes, a row at least a line pointer of 4 and a header of 24. */
static char *
blocks_condition(int server_version, const struct catalog_part *part, const struct blocks *blocks)
{
    char from[40], to[128] = "";

    snprintf(from, sizeof from, "ctid >= '(%" PRIu32 ",%u)'", blocks->from.block,
             blocks->from.line);
    if (!blocks->open)
        snprintf(to, sizeof to, " AND ctid < '(%" PRIu32 ",0)'", blocks->to);
    if (server_version >= 140000)
        return text_print("%s%s", from, to);
    if (blocks->open)
        snprintf(to, sizeof to,
                 "pg_catalog.pg_relation_size(%" PRIu32
                 ") / pg_catalog.current_setting('block_size')::pg_catalog.int8",
                 part->oid);
    else
        snprintf(to, sizeof to, "%" PRIu32 "::pg_catalog.int8", blocks->to);
    return text_print(
        "ctid = ANY (ARRAY(SELECT pg_catalog.format('(%%s,%%s)', b, l)::pg_catalog.tid"
        " FROM pg_catalog.generate_series(%" PRIu32 "::pg_catalog.int8, %s - 1) b,"
        " pg_catalog.generate_series(1,"
        "   (pg_catalog.current_setting('block_size')::pg_catalog.int4 - 24) / 28) l"
        ")) AND %s",
        blocks->from.block, to, from);
}

char *
rangesql_commands(PGconn *conn, const char *publications, const struct range_order *order)
{
    const struct catalog_part *part = order->part;
    char *head = begin(conn, publications, part);
    char *where = blocks_condition(PQserverVersion(conn), part, &order->blocks);
    struct buf sql = {0};

    if (head == NULL || where == NULL)
        sql.failed = true;
    append(&sql, head != NULL ? head : "");
    append(&sql, order_sql);
    append(&sql, "COPY (SELECT ");
    append_columns(&sql, conn, order->relation);
    append(&sql, " FROM ONLY ");
    append(&sql, part->name);
    append(&sql, " WHERE ");
    append(&sql, where != NULL ? where : "");
    if (part->filter != NULL) {
        append(&sql, " AND (");
        append(&sql, part->filter);
        append(&sql, ")");
    }
    append(&sql, ") TO STDOUT; COMMIT");
    buf_append(&sql, "", 1);
    free(head);
    free(where);
    if (!sql.failed)
        return (char *)sql.data;
    buf_free(&sql);
    return NULL;
}
