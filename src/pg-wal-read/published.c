/* published.c: see published.h.
 *
 * Under publish_via_partition_root pgoutput describes the root and calls an old row 'O' or 'K' by
 * the root's identity (logicalrep_write_update() in proto.c). But the content of the old row
 * follows the partition's own identity (ExtractReplicaIdentity() in heapam.c). A partition with
 * FULL sends more than a root with a key announces. So does a partition whose index has the root's
 * columns and others. Any other difference loses changes of the key, because the partition does not
 * log an old row for them. A partition without an identity is accepted, because the source refuses
 * its updates and deletes. */
#include "pg-wal-read/published.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pqconn.h"
#include "lib/pqx.h"

/* The names of the columns that identify the rows of table t. NULL for none, or for all of them. */
#define IDENTITY(t)                                                                                \
    "(SELECT pg_catalog.array_agg(a.attname ORDER BY a.attname)"                                   \
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid"        \
    " AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])"                     \
    " WHERE i.indrelid = " t ".oid AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL"      \
    " AND (" t ".relreplident = 'd' AND i.indisprimary"                                            \
    " OR " t ".relreplident = 'i' AND i.indisreplident))"

/* pg_publication_tables has the partitioned table if its partitions are published as it. */
#define PARTITIONS                                                                                 \
    "SELECT 'partition', pg_catalog.quote_ident(x.nspname) || '.' ||"                              \
    " pg_catalog.quote_ident(x.relname), x.root, x.relreplident::pg_catalog.text, x.leaf_columns," \
    " x.root_ident::pg_catalog.text, x.root_columns FROM"                                          \
    " (SELECT ln.nspname, l.relname, l.relreplident, r.relreplident AS root_ident,"                \
    " pg_catalog.quote_ident(p.schemaname) || '.' || pg_catalog.quote_ident(p.tablename) AS root," \
    " " IDENTITY("l") " AS leaf_columns, " IDENTITY(                                               \
        "r") " AS root_columns"                                                                    \
             " FROM pg_catalog.pg_publication_tables p"                                            \
             " JOIN pg_catalog.pg_publication u ON u.pubname = p.pubname AND (u.pubupdate OR "     \
             "u.pubdelete)"                                                                        \
             " JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname"                         \
             " JOIN pg_catalog.pg_class r ON r.relnamespace = n.oid AND r.relname = p.tablename"   \
             " CROSS JOIN LATERAL pg_catalog.pg_partition_tree(r.oid) t"                           \
             " JOIN pg_catalog.pg_class l ON l.oid = t.relid AND l.relkind = 'r'"                  \
             " JOIN pg_catalog.pg_namespace ln ON ln.oid = l.relnamespace"                         \
             " WHERE r.relkind = 'p' AND p.pubname IN (%s)) x"                                     \
             " WHERE x.relreplident <> 'f' AND x.leaf_columns IS NOT NULL"                         \
             " AND (x.root_ident = 'f' OR NOT x.leaf_columns @> x.root_columns)"

/* pgoutput stops at such a table's first change. */
#define COLUMN_LISTS                                                                               \
    "SELECT 'columns', pg_catalog.quote_ident(p.schemaname) || '.' ||"                             \
    " pg_catalog.quote_ident(p.tablename), NULL, NULL, NULL, NULL, NULL"                           \
    " FROM pg_catalog.pg_publication_tables p WHERE p.pubname IN (%s)"                             \
    " GROUP BY p.schemaname, p.tablename"                                                          \
    " HAVING pg_catalog.count(DISTINCT p.attnames::pg_catalog.text) > 1"

static const char what[] = "look at the published tables";

enum field { KIND, TABLE, ROOT, IDENTITY_OF, COLUMNS, ROOT_IDENTITY, ROOT_COLUMNS };

/* Returns "'a', 'b'". malloc'd, or NULL with err. */
static char *
quote_publications(PGconn *conn, const struct source_options *options, struct err *err)
{
    size_t size = options->publications.count * (2 * NAME_MAX_BYTES + 6) + 1, len = 0;
    char *list = malloc(size);

    if (list == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a question");
        return NULL;
    }
    list[0] = '\0';
    for (uint32_t i = 0; i < options->publications.count; i++) {
        const char *name = options->publications.names[i];
        char *literal = PQescapeLiteral(conn, name, strlen(name));

        if (literal == NULL) {
            pqx_error(conn, NULL, "quote a publication name", err);
            free(list);
            return NULL;
        }
        len += (size_t)snprintf(list + len, size - len, "%s%s", i == 0 ? "" : ",", literal);
        PQfreemem(literal);
    }
    return list;
}

char *
published_question(PGconn *conn, const struct source_options *options, struct err *err)
{
    static const char none[] = "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE false";
    static const char partitions[] = PARTITIONS " LIMIT 1";
    static const char both[] = "(" PARTITIONS ") UNION ALL (" COLUMN_LISTS ") LIMIT 1";
    int version = PQserverVersion(conn);
    char *list = quote_publications(conn, options, err), *sql;
    size_t size;

    if (list == NULL)
        return NULL;
    size = sizeof both + 2 * strlen(list) + 1;
    sql = malloc(size);
    if (sql == NULL)
        err_set(err, EXIT_PEER, "out of memory for a question");
    else if (version >= 150000)
        snprintf(sql, size, both, list, list);
    else
        snprintf(sql, size, version >= 130000 ? partitions : none, list);
    free(list);
    return sql;
}

/* "FULL", or "DEFAULT {id}". */
static void
show_identity(const PGresult *r, enum field identity, char *out, size_t size)
{
    const char *columns = PQgetvalue(r, 0, (int)identity == IDENTITY_OF ? COLUMNS : ROOT_COLUMNS);

    switch (PQgetvalue(r, 0, (int)identity)[0]) {
    case 'f':
        snprintf(out, size, "FULL");
        break;
    case 'i':
        snprintf(out, size, "USING INDEX %s", columns);
        break;
    default:
        snprintf(out, size, "DEFAULT %s", columns);
    }
}

static int
refuse_partition(const PGresult *r, struct err *err)
{
    char identity[200], root_identity[200];

    show_identity(r, IDENTITY_OF, identity, sizeof identity);
    show_identity(r, ROOT_IDENTITY, root_identity, sizeof root_identity);
    err_set(err, EXIT_REFUSED,
            "partition %s has REPLICA IDENTITY %s, but %s, as which it is published, has %s: its "
            "updates and deletes do not identify rows as the root's do",
            PQgetvalue(r, 0, TABLE), identity, PQgetvalue(r, 0, ROOT), root_identity);
    return err_hint(err,
                    "run ALTER TABLE %s REPLICA IDENTITY FULL on the source; updates and deletes "
                    "that are in the WAL already keep the old identity, so if there are any since "
                    "the slot was last read, run walpipe drop and copy the table again",
                    PQgetvalue(r, 0, TABLE));
}

int
published_judge(const PGresult *answer, struct err *err)
{
    if (pqx_shape(answer, what, 0, 1, "vv?????", err) != 0)
        return -1;
    if (PQntuples(answer) == 0)
        return 0;
    if (strcmp(PQgetvalue(answer, 0, KIND), "partition") == 0)
        return refuse_partition(answer, err);
    err_set(err, EXIT_REFUSED, "the publications have different lists of columns of table %s",
            PQgetvalue(answer, 0, TABLE));
    return err_hint(err, "PostgreSQL cannot send such a table: give the publications the same "
                         "columns, or name only one of them");
}

static enum published
check_on(PGconn *conn, const struct source_options *options, struct err *err)
{
    char *sql = published_question(conn, options, err);
    enum published found = PUBLISHED_REFUSED;
    PGresult *answer;

    if (sql == NULL)
        return PUBLISHED_REFUSED;
    /* The role may have timeouts of its own. */
    answer = pqx_exec(conn, what, "SET statement_timeout = 0; SET lock_timeout = 0", err);
    if (answer != NULL) {
        PQclear(answer);
        answer = pqx_exec(conn, what, sql, err);
    }
    free(sql);
    if (answer != NULL && published_judge(answer, err) == 0)
        found = PUBLISHED_OK;
    PQclear(answer);
    return found;
}

enum published
published_check(const struct source_options *options, struct err *err)
{
    static const struct pqconn_keyword forced[] = {
        {"application_name", "walpipe published tables"}};
    PGconn *conn = pqconn_open(options->conninfo, forced, 1, err);
    enum published found;

    if (conn == NULL)
        return PUBLISHED_UNKNOWN;
    found = check_on(conn, options, err);
    PQfinish(conn);
    return found;
}
