/* rangesql.c: see rangesql.h. */
#include "pg-table-read/rangesql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg-table-read/keysql.h"
#include "pg-table-read/pieces.h"
#include "pg-table-read/text.h"

/* The lock comes before the snapshot, because a snapshot from before a rewrite would see an empty
 * table. The position of WAL is read while the SELECT runs, and so after its snapshot was taken. */
static const char begin_sql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;%s"
                                "LOCK TABLE %s IN ACCESS SHARE MODE;"
                                "SELECT %s, pg_catalog.pg_relation_filenode(c.oid),"
                                " pg_catalog.pg_relation_size(c.oid)"
                                "   / pg_catalog.current_setting('block_size')::pg_catalog.int8,"
                                " pg_catalog.pg_current_wal_insert_lsn(),"
                                " %s, %s FROM pg_catalog.pg_class c"
                                " WHERE c.oid = %" PRIu32 " AND c.oid = %s::pg_catalog.regclass;";

/* With ctids the rows must come in their order, so other plans are disabled. */
static const char order_sql[] =
    "SET LOCAL enable_tidscan = on; SET LOCAL enable_seqscan = off;"
    "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off;"
    "SET LOCAL enable_bitmapscan = off;";

/* An exported snapshot is imported before the lock. The file's number shows whether the table has
 * been rewritten since then. */
static void
import_snapshot(const struct range_order *order, char sql[128])
{
    sql[0] = '\0';
    if (order->snapshot != NULL)
        snprintf(sql, 128, "SET TRANSACTION SNAPSHOT '%s';", order->snapshot);
}

/* from: the text behind FROM. */
static char *
begin(PGconn *conn, const char *publications, const struct range_order *order, const char *from)
{
    const struct catalog_part *part = order->part;
    char import[128], relid[16], *literal, *name, *definition, *shape, *sql;

    import_snapshot(order, import);
    snprintf(relid, sizeof relid, "%" PRIu32, part->relid);
    literal = PQescapeLiteral(conn, publications, strlen(publications));
    name = PQescapeLiteral(conn, part->name, strlen(part->name));
    definition = literal == NULL ? NULL : catalog_definition_sql(PQserverVersion(conn), literal);
    shape = catalog_shape_sql(relid);
    sql = name == NULL || definition == NULL || shape == NULL
              ? NULL
              : text_print(begin_sql, import, from, session_snapshot_sql(conn), definition, shape,
                           part->oid, name);
    PQfreemem(literal);
    PQfreemem(name);
    free(definition);
    free(shape);
    return sql;
}

/* Before 14 there is no scan of a range of ctids, so each possible one is listed. A page has a
 * header of 24 bytes, a row at least a line pointer of 4 and a header of 24. */
static char *
blocks_condition(int server_version, const struct catalog_part *part, const struct span *span)
{
    char from[48], to[48] = "", last[128];

    snprintf(from, sizeof from, "ctid >= '%s'", ctid_format(span->from).text);
    if (!span->open)
        snprintf(to, sizeof to, " AND ctid < '%s'", ctid_format(span->to).text);
    if (server_version >= 140000)
        return text_print("%s%s", from, to);
    if (span->open)
        snprintf(last, sizeof last,
                 "pg_catalog.pg_relation_size(%" PRIu32
                 ") / pg_catalog.current_setting('block_size')::pg_catalog.int8 - 1",
                 part->oid);
    else
        snprintf(last, sizeof last, "%" PRIu32 "::pg_catalog.int8", span->to.block);
    return text_print(
        "ctid = ANY (ARRAY(SELECT pg_catalog.format('(%%s,%%s)', b, l)::pg_catalog.tid"
        " FROM pg_catalog.generate_series(%" PRIu32 "::pg_catalog.int8, %s) b,"
        " pg_catalog.generate_series(1,"
        "   (pg_catalog.current_setting('block_size')::pg_catalog.int4 - 24) / 28) l"
        ")) AND %s%s",
        span->from.block, last, from, to);
}

static void
append_columns(struct buf *sql, PGconn *conn, const struct range_order *order)
{
    struct buf columns = {0};

    text_append(&columns, order->piece_blocks > 0 ? "" : "ctid");
    keysql_columns(&columns, conn, order->relation, "");
    buf_append(&columns, "", 1);
    text_append(sql, columns.failed
                         ? NULL
                         : (const char *)columns.data + (order->piece_blocks > 0 ? 2 : 0));
    buf_free(&columns);
}

static void
append_copy(struct buf *sql, PGconn *conn, const struct range_order *order, const struct span *span)
{
    const struct catalog_part *part = order->part;
    char *where = blocks_condition(PQserverVersion(conn), part, span);

    text_append(sql, "COPY (SELECT ");
    append_columns(sql, conn, order);
    text_append(sql, " FROM ONLY ");
    text_append(sql, part->name);
    text_append(sql, " WHERE ");
    text_append(sql, where);
    if (part->filter != NULL) {
        text_append(sql, " AND (");
        text_append(sql, part->filter);
        text_append(sql, ")");
    }
    text_append(sql, ") TO STDOUT; ");
    free(where);
}

static void
append_blocks(struct buf *sql, PGconn *conn, const struct range_order *order)
{
    struct span span;

    text_append(sql, order_sql);
    for (uint32_t n = 0; pieces_take(order, n, &span); n++)
        append_copy(sql, conn, order, &span);
}

char *
rangesql_commands(PGconn *conn, const char *publications, const struct range_order *order)
{
    char *from = order->kind == RANGE_BLOCKS ? text_print("ONLY %s", order->part->name)
                                             : keysql_from(conn, order->relation, order->part);
    char *head = from == NULL ? NULL : begin(conn, publications, order, from);
    struct buf sql = {0};

    text_append(&sql, head);
    if (order->kind == RANGE_BLOCKS)
        append_blocks(&sql, conn, order);
    else
        keysql_append(&sql, conn, order, from);
    text_append(&sql, "COMMIT");
    buf_append(&sql, "", 1);
    free(from);
    free(head);
    if (!sql.failed)
        return (char *)sql.data;
    buf_free(&sql);
    return NULL;
}
