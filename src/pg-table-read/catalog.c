/* catalog.c: see catalog.h. */
#include "pg-table-read/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/pqx.h"
#include "pg-table-read/text.h"

/* The placeholders depend on the version. They are the row filter, definition, shape, members,
 * others, attachments, and the leaves of a partitioned table. A table that one publication
 * publishes without a filter is published without one. Foreign tables have no WAL, so their rows
 * are not replicated. Nothing here waits for a lock, so the sizes are those of the last VACUUM or
 * ANALYZE. The names are looked up as pgrelations.c does it. */
static const char parts_sql[] =
    "WITH published AS ("
    "  SELECT c.oid, %s AS filter"
    "  FROM pg_catalog.pg_publication_tables p"
    "  JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname"
    "  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
    "  WHERE p.pubname = ANY ($1::pg_catalog.text[]) AND n.nspname <> '" WALPIPE_SCHEMA "'"
    "  GROUP BY c.oid)"
    "SELECT t.oid, c.oid, pg_catalog.format('%%I.%%I', n.nspname, c.relname),"
    "  c.relpages,"
    "  greatest(c.reltuples, 0)::pg_catalog.int8, t.filter, %s, %s, %s, %s, %s, c.relfilenode,"
    "  c.reltoastrelid, c.relam,"
    "  (SELECT coalesce(min(r.oid), 0) FROM pg_catalog.pg_publication_rel r"
    "    WHERE r.prrelid = c.oid),"
    "  (SELECT coalesce(string_agg(pg_catalog.format('%%s/%%s/%%s/%%s', a.attnum, a.atttypid,"
    "    a.atttypmod, a.attcollation), ',' ORDER BY a.attnum), '')"
    "    FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0"
    "    AND NOT a.attisdropped) || ' ' || c.relnatts "
    "FROM published t %s"
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' ORDER BY t.oid, c.oid";

static const char filter_sql[] =
    "CASE WHEN bool_or(p.rowfilter IS NULL) THEN NULL"
    " ELSE string_agg('(' || p.rowfilter || ')', ' OR ' ORDER BY p.pubname) END";

/* Each line keeps the planner from comparing all pairs of tables: an OR would, and so would a join
 * with the leaves, which it takes for a thousand. */
static const char leaves_sql[] =
    "CROSS JOIN LATERAL (SELECT t.oid UNION SELECT l.relid::pg_catalog.oid FROM "
    "pg_catalog.pg_partition_tree(t.oid) l WHERE l.isleaf) f "
    "CROSS JOIN LATERAL (SELECT i.oid, i.relname, i.relnamespace, i.relkind, i.relpages, "
    "i.reltuples, i.relfilenode, i.relispartition, i.reltoastrelid, i.relam, i.relnatts "
    "FROM pg_catalog.pg_class i "
    "WHERE i.oid = f.oid OFFSET 0) c ";

enum parts_field {
    FIELD_RELID,
    FIELD_OID,
    FIELD_NAME,
    FIELD_BLOCKS,
    FIELD_ROWS,
    FIELD_FILTER,
    FIELD_DEFINITION,
    FIELD_SHAPE,
    FIELD_MEMBERS,
    FIELD_OTHERS,
    FIELD_ATTACHED,
    FIELD_FILE,
    FIELD_TOAST,
    FIELD_METHOD,
    FIELD_OWN,
    FIELD_TYPES
};

/* oid and xmin together identify a row. One that was deleted and inserted again has another oid,
 * one that was updated another xmin. A partition may be published by any of its ancestors. */
static char *
entries_sql(int server_version, const char *list, const char *of, const char *publications,
            const char *more)
{
    const char *self = server_version >= 120000
                           ? "(SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid)"
                             " UNION SELECT c.oid)"
                           : "(SELECT c.oid)";
    bool schemas = server_version >= 150000;

    return text_print("(SELECT coalesce(string_agg(pg_catalog.format(%s ORDER BY p.oid, r.oid %s),"
                      "   '') FROM pg_catalog.pg_publication p"
                      " LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid"
                      "   AND r.prrelid IN %s %s%s%s"
                      " WHERE %sp.pubname = ANY (%s::pg_catalog.text[])%s)",
                      list, schemas ? ", s.oid" : "", self,
                      schemas
                          ? " LEFT JOIN pg_catalog.pg_publication_namespace s ON s.pnpubid = p.oid"
                            "   AND s.pnnspid IN (SELECT h.relnamespace FROM pg_catalog.pg_class h"
                            "     WHERE h.oid IN "
                          : "",
                      schemas ? self : "", schemas ? ")" : "", of, publications, more);
}

char *
catalog_definition_sql(int server_version, const char *publications)
{
    return entries_sql(server_version,
                       server_version >= 150000
                           ? "'%s/%s/%s/%s/%s', p.oid, p.xmin, r.oid, r.xmin,"
                             " s.oid || ' ' || s.xmin), ','"
                           : "'%s/%s/%s/%s/', p.oid, p.xmin, r.oid, r.xmin), ','",
                       "", publications, "");
}

/* SET SCHEMA, and nothing else, gives a table another row there. A schema that cannot be dropped
 * has none. */
static const char place_sql[] =
    "CASE WHEN s.oid IS NOT NULL THEN (SELECT string_agg(d.xmin::pg_catalog.text, '/' "
    "ORDER BY l.relid::pg_catalog.oid) FROM (SELECT relid FROM "
    "pg_catalog.pg_partition_ancestors(c.oid)"
    "   UNION SELECT c.oid) l CROSS JOIN LATERAL (SELECT e.xmin, e.refclassid, e.refobjid"
    "   FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "   AND e.objid = l.relid AND e.objsubid = 0 OFFSET 0) d"
    " WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
    "   AND d.refobjid = s.pnnspid) END";

/* The words of an entry have spaces between. An entry that does not publish each change of the
 * table has "~" in front. Each ALTER PUBLICATION ... SET (...) gives the publication another xmin,
 * and so do a new owner and a new name. A partition may be published as itself or as its root. `of`
 * is empty for the given publications, and "NOT " for all others. */
static char *
members_sql(int server_version, const char *of, const char *publications)
{
    const char *root = server_version >= 130000 ? " AND CASE WHEN t.oid <> c.oid THEN p.pubviaroot"
                                                  " ELSE NOT p.pubviaroot OR NOT c.relispartition"
                                                  " OR coalesce(r.prrelid = c.oid, false) END"
                                                : "";
    char *list = text_print(
        "'%%s%%s/%%s/%s %%s %%s/%%s %%s,', CASE WHEN p.pubinsert AND p.pubupdate"
        " AND p.pubdelete%s%s%s THEN '' ELSE '~' END, p.oid, r.oid%s, p.xmin, p.pubowner,"
        " pg_catalog.hashname(p.pubname), %s), ''",
        server_version >= 150000 ? "%s" : "", server_version >= 110000 ? " AND p.pubtruncate" : "",
        server_version >= 150000 ? " AND r.prqual IS NULL AND r.prattrs IS NULL" : "", root,
        server_version >= 150000 ? ", s.oid" : "", server_version >= 150000 ? place_sql : "''");
    char *sql = list == NULL
                    ? NULL
                    : entries_sql(server_version, list, of, publications,
                                  server_version >= 150000
                                      ? " AND (p.puballtables OR r.oid IS NOT NULL OR s.oid IS NOT "
                                        "NULL)"
                                      : " AND (p.puballtables OR r.oid IS NOT NULL)");

    free(list);
    return sql;
}

/* The rows of pg_inherits that lead to the partition. One that was detached and attached again has
 * a new row. Partitions that are published by themselves need none. */
static char *
attached_sql(int server_version, const char *publications)
{
    if (server_version < 130000)
        return text_print("''");
    return text_print(
        "CASE WHEN t.oid <> c.oid OR NOT EXISTS (SELECT FROM pg_catalog.pg_publication p"
        "  LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid %s"
        "  WHERE p.pubname = ANY (%s::pg_catalog.text[])"
        "    AND (p.puballtables OR r.oid IS NOT NULL %s))"
        " THEN (SELECT coalesce(string_agg(pg_catalog.format('%%s/%%s', i.inhparent, i.xmin), ','"
        "    ORDER BY i.inhparent), '') FROM pg_catalog.pg_inherits i WHERE i.inhrelid IN"
        "    (SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid))) ELSE '' END",
        server_version >= 150000
            ? "LEFT JOIN pg_catalog.pg_publication_namespace s ON s.pnpubid = p.oid"
              "   AND s.pnnspid = c.relnamespace"
            : "",
        publications, server_version >= 150000 ? "OR s.oid IS NOT NULL" : "");
}

char *
catalog_shape_sql(const char *relid)
{
    return text_print(
        "(SELECT coalesce(string_agg(pg_catalog.format('%%s/%%I/%%s/%%s/%%s', a.attnum,"
        "   a.attname, a.atttypid, a.atttypmod, a.attcollation), ',' ORDER BY a.attnum), '')"
        " FROM pg_catalog.pg_attribute a"
        " WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"
        " || (SELECT pg_catalog.format(' %%s/%%s', h.relreplident, i.indkey)"
        " FROM pg_catalog.pg_class h LEFT JOIN pg_catalog.pg_index i ON i.indrelid = h.oid"
        "   AND (h.relreplident = 'd' AND i.indisprimary"
        "     OR h.relreplident = 'i' AND i.indisreplident)"
        " WHERE h.oid = %s)",
        relid);
}

/* If a definition has no room for all entries, a table that stayed by the others alone is taken for
 * one that left, which is safe. */
#define ENTRIES_MAX 6

/* Takes the next word of an entry, which may be empty, and gives the first bits of its hash. */
static uint64_t
hash_word(const char **at, int bits)
{
    size_t len = strcspn(*at, " ,");
    uint64_t h = hash_finish(hash_bytes(HASH_SEED, *at, len));

    *at += len + ((*at)[len] == ' ');
    return h >> (64 - bits);
}

/* Two rows that differ get the same word once in 2^48, and two versions once in 2^32. */
static void
add_entries(struct catalog_part *part, const char *entries, int *room)
{
    const char *at = entries;

    for (; *room > 0 && *at != '\0'; at++, --*room) {
        char *end = part->digest + strlen(part->digest);
        size_t size = sizeof part->digest - (size_t)(end - part->digest);
        const char *mark = *at == '~' ? "~" : "";
        uint64_t id, version, owner;

        at += *at == '~';
        id = hash_word(&at, 48);
        version = hash_word(&at, 32);
        owner = hash_word(&at, 16);
        if (*at == ',')
            snprintf(end, size, "%s%012" PRIx64 ".%08" PRIx64 ".%04" PRIx64 ",", mark, id, version,
                     owner);
        else
            snprintf(end, size, "%s%012" PRIx64 ".%08" PRIx64 ".%04" PRIx64 ".%08" PRIx64 ",", mark,
                     id, version, owner, hash_word(&at, 32));
    }
}

/* relnatts tells of columns that were added and dropped again. */
static void
add_storage(struct catalog_part *part)
{
    uint64_t types = hash_finish(hash_bytes(HASH_SEED, part->types, strlen(part->types)));
    size_t len = strlen(part->digest);

    snprintf(part->digest + len, sizeof part->digest - len,
             " %c%" PRIx32 ".%" PRIx32 ".%08" PRIx64 ".%" PRIx32, part->toast != 0 ? 't' : 'f',
             part->toast != 0 ? part->toast : part->file, part->method, types >> 32, part->own);
}

/* Two that differ get the same once in 2^64. */
static void
digest(struct catalog_part *part)
{
    uint64_t h = hash_bytes(HASH_SEED, part->definition, strlen(part->definition) + 1);
    uint64_t attached = hash_finish(hash_bytes(HASH_SEED, part->attached, strlen(part->attached)));
    int room = ENTRIES_MAX;
    size_t len;

    h = hash_finish(hash_bytes(h, part->shape, strlen(part->shape)));
    if (part->attached[0] == '\0')
        snprintf(part->digest, sizeof part->digest, "%016" PRIx64 " - ", h);
    else
        snprintf(part->digest, sizeof part->digest, "%016" PRIx64 " %016" PRIx64 " ", h, attached);
    add_entries(part, part->members, &room);
    len = strlen(part->digest);
    snprintf(part->digest + len, sizeof part->digest - len, " ");
    add_entries(part, part->others, &room);
    add_storage(part);
}

static bool
is_partitioned(const struct catalog *catalog, uint32_t relid)
{
    const struct relation *relation = catalog_relation(catalog, relid);

    return relation != NULL &&
           catalog->published.partitioned[relation - catalog->published.relations];
}

static int
fill(struct catalog *catalog, int server_version, struct err *err)
{
    const PGresult *r = catalog->result;
    int rows = PQntuples(r);

    catalog->parts = calloc((size_t)rows + 1, sizeof *catalog->parts);
    if (catalog->parts == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the published tables");
    for (int row = 0; row < rows; row++) {
        catalog->parts[row] = (struct catalog_part){
            .relid = (uint32_t)strtoul(PQgetvalue(r, row, FIELD_RELID), NULL, 10),
            .oid = (uint32_t)strtoul(PQgetvalue(r, row, FIELD_OID), NULL, 10),
            .name = PQgetvalue(r, row, FIELD_NAME),
            .blocks = strtoull(PQgetvalue(r, row, FIELD_BLOCKS), NULL, 10),
            .file = (uint32_t)strtoul(PQgetvalue(r, row, FIELD_FILE), NULL, 10),
            .rows = strtoull(PQgetvalue(r, row, FIELD_ROWS), NULL, 10),
            .filter = PQgetisnull(r, row, FIELD_FILTER) ? NULL : PQgetvalue(r, row, FIELD_FILTER),
            .definition = PQgetvalue(r, row, FIELD_DEFINITION),
            .shape = PQgetvalue(r, row, FIELD_SHAPE),
            .members = PQgetvalue(r, row, FIELD_MEMBERS),
            .others = PQgetvalue(r, row, FIELD_OTHERS),
            .attached = PQgetvalue(r, row, FIELD_ATTACHED),
            .toast = (uint32_t)strtoul(PQgetvalue(r, row, FIELD_TOAST), NULL, 10),
            .method = (uint32_t)strtoul(PQgetvalue(r, row, FIELD_METHOD), NULL, 10),
            .own = (uint32_t)strtoul(PQgetvalue(r, row, FIELD_OWN), NULL, 10),
            .types = PQgetvalue(r, row, FIELD_TYPES)};
        /* Before 14 a range without an end names every block of the table. */
        catalog->parts[row].measured = server_version >= 140000;
        catalog->parts[row].whole = is_partitioned(catalog, catalog->parts[row].relid);
        digest(&catalog->parts[row]);
    }
    catalog->parts_count = (size_t)rows;
    return 0;
}

static PGresult *
ask(PGconn *conn, const char *publications, struct err *err)
{
    static const char what[] = "read where the rows of the published tables are";
    int version = PQserverVersion(conn);
    const char *params[] = {publications};
    char *definition = catalog_definition_sql(version, "$1");
    char *shape = catalog_shape_sql("t.oid"), *members = members_sql(version, "", "$1");
    char *others = members_sql(version, "NOT ", "$1");
    char *attached = attached_sql(version, "$1");
    char *sql =
        definition == NULL || shape == NULL || members == NULL || others == NULL || attached == NULL
            ? NULL
            : text_print(parts_sql, version >= 150000 ? filter_sql : "NULL::pg_catalog.text",
                         definition, shape, members, others, attached,
                         version >= 130000 ? leaves_sql
                                           : "JOIN pg_catalog.pg_class c ON c.oid = t.oid ");
    PGresult *result = NULL;

    if (sql == NULL)
        err_set(err, EXIT_PEER, "out of memory for a question");
    else
        result = pqx_exec_params(conn, what, sql, 1, params, err);
    free(definition);
    free(shape);
    free(members);
    free(others);
    free(attached);
    free(sql);
    return pqx_shaped(result, what, 0, PQX_ROWS, "vvvvv?vvvvvvvvvv", err);
}

struct catalog *
catalog_read(PGconn *conn, const char *publications, struct err *err)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);

    if (catalog == NULL) {
        err_set(err, EXIT_PEER, "out of memory for the published tables");
        return NULL;
    }
    catalog->users = 1;
    if (pgrelations_read(&catalog->published, conn, publications, err) == 0)
        catalog->result = ask(conn, publications, err);
    if (catalog->result != NULL && fill(catalog, PQserverVersion(conn), err) == 0)
        return catalog;
    catalog_drop(catalog);
    return NULL;
}

struct catalog *
catalog_keep(struct catalog *catalog)
{
    catalog->users++;
    return catalog;
}

void
catalog_drop(struct catalog *catalog)
{
    if (catalog == NULL || --catalog->users > 0)
        return;
    pgrelations_free(&catalog->published);
    free(catalog->parts);
    PQclear(catalog->result);
    free(catalog);
}

const struct relation *
catalog_relation(const struct catalog *catalog, uint32_t relid)
{
    for (size_t i = 0; i < catalog->published.count; i++)
        if (catalog->published.relations[i].relid == relid)
            return &catalog->published.relations[i];
    return NULL;
}

uint32_t
catalog_key_columns(const struct relation *relation)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < relation->columns_count; i++)
        count += relation->columns[i].key;
    return count;
}
