/* check_copies.c: see check_copies.h. Asks the catalog alone, because the size or a row of a table
 * would wait for its lock. */
#include "walpipe/check_copies.h"

#include <stdlib.h>

#include "lib/pqx.h"
#include "walpipe/amount.h"
#include "walpipe/copydefault.h"
#include "walpipe/copykeys.h"
#include "walpipe/pgdump.h"
#include "walpipe/schema.h"

/* The rows of a table that is published for its partitions are in these. relpages is as of the last
 * VACUUM or ANALYZE. */
static const char parts_sql[] =
    "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname),"
    "  pg_catalog.has_schema_privilege(n.oid, 'USAGE'),"
    "  pg_catalog.has_table_privilege(c.oid, 'SELECT'),"
    "  pg_catalog.row_security_active(c.oid),"
    "  c.relkind = 'f',"
    "  (greatest(c.relpages, 0)::pg_catalog.int8 + coalesce((SELECT greatest(o.relpages, 0)"
    "    FROM pg_catalog.pg_class o WHERE o.oid = c.reltoastrelid), 0))"
    "  * pg_catalog.current_setting('block_size')::pg_catalog.int8 "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.oid = ANY (ARRAY(SELECT %s"
    "  pg_catalog.unnest($1::pg_catalog.oid[]) AS r(oid)%s)) AND c.relkind IN ('r', 'f') "
    "ORDER BY 1";

enum part_field { PART_NAME, PART_USAGE, PART_SELECT, PART_SECURITY, PART_FOREIGN, PART_BYTES };

/* An unlogged table writes no WAL, so it is never published. */
static const char unlogged_sql[] =
    "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)"
    "  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND n.nspname <> 'walpipe'"
    "  AND EXISTS (SELECT FROM pg_catalog.pg_publication"
    "    WHERE puballtables AND pubname = ANY ($1::pg_catalog.text[])) "
    "ORDER BY 1";

static bool
is_copied(const struct config *config, const struct relation *relation)
{
    for (size_t i = 0; i < config->sinks_count; i++)
        if (config->sinks[i].copies &&
            tablefilter_takes(&config->sinks[i].filter, relation->schema, relation->name))
            return true;
    return false;
}

static bool
has_key(const struct relation *relation)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key &&
            (relation->replica_identity == 'd' || relation->replica_identity == 'i'))
            return true;
    return false;
}

/* A table without a key is read under one snapshot. */
static void
check_keyless(struct checking *c, const struct relation *r, bool partitioned)
{
    if (partitioned)
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "copy: %s.%s has no key and is published through its root, so it cannot be "
                    "copied: give it a primary key that is not DEFERRABLE, and set REPLICA "
                    "IDENTITY DEFAULT for it and for each partition; or publish it with "
                    "publish_via_partition_root = false, "
                    "leave it out of the sink with tables, or set copy = no",
                    r->schema, r->name);
    else
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "copy: %s.%s has no key: a snapshot stays open on the source until it is "
                    "copied, and a restart begins its copy again; a unique index with REPLICA "
                    "IDENTITY USING INDEX, or a primary key that is not DEFERRABLE, is a key",
                    r->schema, r->name);
}

/* Says which of the tables have no key. Returns the oids of all as an array literal. */
static const char *
list_copied(struct checking *c, const struct catalog *catalog, size_t *count)
{
    const char *list = "";

    *count = 0;
    for (size_t i = 0; i < catalog->tables.count; i++) {
        const struct relation *r = &catalog->tables.relations[i];

        if (!is_copied(c->config, r))
            continue;
        list = pool_print(&c->pool, "%s%s%u", list, ++*count == 1 ? "" : ",", r->relid);
        if (!has_key(r))
            check_keyless(c, r, catalog->tables.partitioned[i]);
    }
    return pool_print(&c->pool, "{%s}", list);
}

static void
check_part(struct checking *c, const PGresult *parts, int row)
{
    const char *name = PQgetvalue(parts, row, PART_NAME);

    if (PQgetvalue(parts, row, PART_FOREIGN)[0] == 't') {
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "copy: %s is a foreign table: its rows are not copied, nor its changes "
                    "replicated",
                    name);
        return;
    }
    if (PQgetvalue(parts, row, PART_USAGE)[0] != 't')
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "copy: the role lacks USAGE on the schema of %s: grant it", name);
    if (PQgetvalue(parts, row, PART_SELECT)[0] != 't')
        verdict_say(&c->verdicts, VERDICT_FAIL, "copy: the role lacks SELECT on %s: grant it",
                    name);
    if (PQgetvalue(parts, row, PART_SECURITY)[0] == 't')
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "copy: %s has row-level security that applies to the role, and would hide rows "
                    "from it: give the role BYPASSRLS",
                    name);
}

static void
check_parts(struct checking *c, const struct catalog *catalog)
{
    static const char what[] = "read what a copy needs";
    bool trees = PQserverVersion(catalog->conn) >= 120000;
    const char *sql = pool_print(
        &c->pool, parts_sql, trees ? "coalesce(l.relid, r.oid) FROM" : "r.oid FROM",
        trees ? " LEFT JOIN LATERAL pg_catalog.pg_partition_tree(r.oid) AS l ON l.isleaf" : "");
    struct err err = {0};
    size_t count;
    const char *params[] = {list_copied(c, catalog, &count)};
    PGresult *parts = pqx_exec_params(catalog->conn, what, sql, 1, params, &err);
    uint64_t bytes = 0;

    parts = pqx_shaped(parts, what, 0, PQX_ROWS, "vvvvvv", &err);
    if (parts == NULL) {
        verdict_fail(&c->verdicts, "copy", &err);
        return;
    }
    for (int row = 0; row < PQntuples(parts); row++) {
        check_part(c, parts, row);
        bytes += strtoull(PQgetvalue(parts, row, PART_BYTES), NULL, 10);
    }
    PQclear(parts);
    verdict_say(&c->verdicts, VERDICT_OK,
                "copy: %zu table(s), about %s on the source as of the last VACUUM or ANALYZE; each "
                "target needs as much, and room for its indexes",
                count, amount_bytes(bytes).text);
}

static void
check_unlogged(struct checking *c, const struct catalog *catalog)
{
    static const char what[] = "look for unlogged tables";
    const struct hello *h = &catalog->hello;
    struct err err = {0};
    char *publications = pgrelations_publications(h->publications, h->publications_count, &err);
    const char *params[] = {publications};
    PGresult *tables = NULL;

    if (publications != NULL)
        tables = pqx_exec_params(catalog->conn, what, unlogged_sql, 1, params, &err);
    free(publications);
    tables = pqx_shaped(tables, what, 0, PQX_ROWS, "v", &err);
    if (tables == NULL)
        verdict_fail(&c->verdicts, "copy", &err);
    for (int row = 0; tables != NULL && row < PQntuples(tables); row++)
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "copy: %s is unlogged, so it is not published, and not copied",
                    PQgetvalue(tables, row, 0));
    PQclear(tables);
}

static void
check_default(struct checking *c, struct sink_config *sink, const struct catalog *catalog)
{
    struct copychoice choice =
        copydefault_look(c->config, sink, catalog->slot_exists, catalog->slot_active, c->programs);
    bool known = choice.verdict == COPYCHOICE_YES || choice.verdict == COPYCHOICE_NO;

    sink->copies = choice.verdict == COPYCHOICE_YES;
    verdict_say(&c->verdicts, known ? VERDICT_OK : VERDICT_WARN,
                "sink %s: rows that tables have already are %scopied, since copy is not set and %s",
                sink->name,
                sink->copies ? ""
                : known      ? "not "
                             : "perhaps ",
                choice.why);
}

/* For walpipe schema, and for run where create_tables has a table to make. */
static void
check_pgdump(struct checking *c, struct sink_config *sink, const struct err *why)
{
    struct err ignored = {0};
    bool lacks = false;

    if (sink->create_tables && schema_lacks_table(c->config, sink, &lacks, &ignored) != 0)
        lacks = false;
    verdict_say(&c->verdicts, lacks ? VERDICT_FAIL : VERDICT_WARN,
                "sink %s: %s, which %s needs: %s", sink->name, why->message,
                lacks ? "create_tables" : "walpipe schema", why->hint);
}

void
check_definitions(struct checking *c, const struct catalog *catalog)
{
    struct pgdump program;
    struct err why = {0};

    if (pgdump_find(&program, PQserverVersion(catalog->conn) / 10000, &c->pool, &why) == 0)
        return;
    for (size_t i = 0; i < c->config->sinks_count; i++) {
        struct sink_config *sink = &c->config->sinks[i];

        if (sink->type == SINK_PG && (sink->copies || sink->create_tables))
            check_pgdump(c, sink, &why);
    }
}

void
check_copies_default(struct checking *c, const struct catalog *catalog)
{
    for (size_t i = 0; i < c->config->sinks_count; i++)
        if (c->config->sinks[i].copy_open)
            check_default(c, &c->config->sinks[i], catalog);
    copykeys_count(c->config);
}

void
check_copies(struct checking *c, const struct catalog *catalog)
{
    if (!c->config->copies)
        return;
    if (catalog->standby)
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "copy: the source is a standby: a copy needs the primary in [source]");
    if (c->config->source.local_only)
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "copy: origin = none holds for changes, but a copy takes all rows: of two "
                    "pipelines that replicate to each other only one may copy");
    check_parts(c, catalog);
    check_unlogged(c, catalog);
}
