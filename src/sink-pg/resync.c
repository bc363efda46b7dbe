/* resync.c: see resync.h. */
#include "sink-pg/resync.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/copyresync.h"
#include "sink-pg/mapping.h"
#include "sink-pg/match.h"
#include "sink-pg/resyncsql.h"
#include "sink-pg/sqltext.h"

/* ---- whether the target takes it ---- */

static int
refuse(const struct table *table, const char *why, const char *hint, struct err *err)
{
    return copyresync_refuse(table->label, why, hint, err);
}

/* Rows of the other one would be taken for surplus. */
static int
refuse_shared(const struct resync *r, const struct table *table, struct err *err)
{
    bool shared = table->shared;

    for (const struct copypart *part = r->copying->parts; part != NULL && !shared;
         part = part->next) {
        const char *schema, *name;

        mapping_target(r->staging->tables->mapping, part->schema, part->name, &schema, &name);
        shared = !part->gone && part->relid != table->relation.relid &&
                 strcmp(schema, table->schema) == 0 && strcmp(name, table->name) == 0;
    }
    return shared ? copyresync_refuse_shared(table->label, err) : 0;
}

/* What acts when a row goes and comes again. */
static int
refuse_acting(const struct table *table, struct err *err)
{
    if (table->plan->kind != 'r' && table->plan->kind != 'p')
        return refuse(table, "it is a view or a foreign table", "map the source table to a table",
                      err);
    if (table->plan->fires != FIRES_NOTHING)
        return refuse(table,
                      "rules, row triggers or actions of foreign keys fire for the sink's role",
                      "drop or disable them while it is copied again, or let the role set "
                      "session_replication_role",
                      err);
    return 0;
}

/* One column for each thing that may be in the way, in the order of judge. */
static const char look[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = t.oid "
    "AND t.relkind = 'r'), "
    "EXISTS (SELECT FROM pg_catalog.pg_constraint AS c WHERE c.contype = 'f' "
    "AND c.confrelid = t.oid), "
    "pg_catalog.has_schema_privilege('walpipe', 'CREATE') "
    "AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY') "
    "AND pg_catalog.has_table_privilege(t.oid, 'SELECT') "
    "AND pg_catalog.has_table_privilege(t.oid, 'INSERT') "
    "AND pg_catalog.has_table_privilege(t.oid, 'DELETE'), "
    "pg_catalog.row_security_active(t.oid) FROM pg_catalog.pg_class AS t "
    "WHERE t.oid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))";

/* No error of the table, as that of a server that refuses a statement. */
static int
refuse_rights(const struct table *table, const char *why, const char *hint, struct err *err)
{
    refuse(table, why, hint, err);
    snprintf(err->sqlstate, sizeof err->sqlstate, "42501");
    return -1;
}

static int
judge(const struct session *s, const struct table *table, const PGresult *row, struct err *err)
{
    if (PQgetvalue(row, 0, 0)[0] == 't')
        return refuse(table, "other tables inherit from it", "map the source table to another one",
                      err);
    if (PQgetvalue(row, 0, 1)[0] == 't' && !s->replica)
        return refuse(table, "a foreign key that is enforced refers to it",
                      "let the sink's role set session_replication_role, or drop the foreign key "
                      "while it is copied again",
                      err);
    if (PQgetvalue(row, 0, 2)[0] != 't')
        return refuse_rights(table, "rights are missing",
                             "grant CREATE on schema walpipe, TEMPORARY on the database, and "
                             "SELECT, INSERT and DELETE on the table to the sink's role",
                             err);
    if (PQgetvalue(row, 0, 3)[0] == 't')
        return refuse_rights(
            table, "row security hides rows of it from the sink's role",
            "give the role BYPASSRLS, or drop the policies while it is copied again", err);
    return 0;
}

static int
ask_catalog(const struct resync *r, const struct table *table, struct err *err)
{
    static const char what[] = "look whether a table can be copied again";
    const char *params[] = {table->schema, table->name};
    PGresult *row = pqx_exec_params(r->session->conn, what, look, 2, params, err);
    int rc;

    row = pqx_shaped(row, what, 1, 1, "vvvv", err);
    if (row == NULL)
        return -1;
    rc = judge(r->session, table, row, err);
    PQclear(row);
    return rc;
}

static int
check(const struct resync *r, struct table *table, struct err *err)
{
    if (tables_plan(r->staging->tables, table, r->session, err) != 0)
        return -1;
    if (copyresync_require_key(table->label, &table->relation, err) != 0 ||
        match_require_overwrites(table->plan, table->label, err) != 0 ||
        refuse_shared(r, table, err) != 0 || refuse_acting(table, err) != 0)
        return -1;
    return ask_catalog(r, table, err);
}

static struct table *
make_table(const struct resync *r, struct bytes raw, struct err *err)
{
    struct frame frame = {.raw = raw};

    frame.body = cursor_over(raw.data + FRAME_HEADER, raw.len - FRAME_HEADER);
    return table_new(r->staging->tables, &frame, err);
}

int
resync_check(void *context, const struct relation *relation, struct err *err)
{
    const struct resync *r = context;
    struct table *table = NULL;
    struct buf frame = {0};
    int rc = -1;

    if (r->session->conn == NULL)
        return err_set(err, EXIT_PEER, "the target is down");
    if (relation_encode(&frame, relation) != 0)
        err_set(err, EXIT_PEER, "out of memory for a table");
    else
        table = make_table(
            r, (struct bytes){.data = frame.data + frame.start, .len = buf_len(&frame)}, err);
    if (table != NULL)
        rc = check(r, table, err);
    table_free(table);
    buf_free(&frame);
    return rc;
}

void
resync_serve(struct resync *r, struct copying *c)
{
    c->check_resync = resync_check;
    c->context = r;
    c->noted_hint = "or, if it was streaming before walpipe resync, set state = 'streaming' in its "
                    "rows of walpipe.tables, and start again";
}

/* ---- the end ---- */

static PGresult *
ask_of_table(const struct resync *r, const char *what, const char *sql, uint32_t relid,
             struct err *err)
{
    char oid[16], shard[16];
    const char *params[] = {r->notes->pipeline, r->notes->hello->sink, oid, shard};

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    snprintf(shard, sizeof shard, "%" PRIu32, r->notes->hello->shard);
    return pqx_exec_params(r->session->conn, what, sql, 4, params, err);
}

static int
ask_bool(const struct resync *r, const char *sql, uint32_t relid, bool *yes, struct err *err)
{
    static const char what[] = "look how a resync stands";
    PGresult *row = pqx_shaped(ask_of_table(r, what, sql, relid, err), what, 1, 1, "v", err);

    if (row == NULL)
        return -1;
    *yes = PQgetvalue(row, 0, 0)[0] == 't';
    PQclear(row);
    return 0;
}

static const char any_missing[] =
    "SELECT EXISTS (SELECT FROM walpipe.missing WHERE pipeline = $1 AND sink = $2 "
    "AND relid = $3::oid) AND $4::integer IS NOT NULL";

static const char is_merged[] =
    "SELECT NOT EXISTS (SELECT FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 "
    "AND relid = $3::oid AND shard = $4::integer "
    "AND state NOT IN ('streaming', 'out-streaming'))";

/* Rows of a partition that has left the table were surplus. */
static const char *const note_merged[] = {
    "DELETE FROM walpipe.tables WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid "
    "AND state LIKE 'out-%' AND $4::integer IS NOT NULL",
    "UPDATE walpipe.tables SET state = 'streaming', behind = false, "
    "updated_at = pg_catalog.now() "
    "WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid AND $4::integer IS NOT NULL"};

static int
note_all(const struct resync *r, uint32_t relid, struct err *err)
{
    for (size_t i = 0; i < sizeof note_merged / sizeof *note_merged; i++) {
        PGresult *result = ask_of_table(r, "write walpipe.tables", note_merged[i], relid, err);

        PQclear(result);
        if (result == NULL)
            return -1;
    }
    return 0;
}

/* Every row that was staged must be in the table that is merged: rows that it lacks are deleted. */
static int
require_same(const struct resync *r, struct copying *c, const struct copypart *part,
             struct err *err)
{
    uint32_t oid = 0;

    if (staging_oid(r->staging, r->session, part->relid, &oid, err) != 0)
        return -1;
    for (const struct copypart *at = copyparts_first(c, part->relid); at != NULL;
         at = at->table_next)
        if (!at->gone && !at->out && (oid == 0 || at->staging != oid))
            return copyparts_unstage(
                c, part, oid == 0 ? "its staging table is gone" : "its staging table was replaced",
                err);
    return 0;
}

/* The columns of the target may have changed since it was staged. */
static int
require_fit(const struct resync *r, struct copying *c, const struct copypart *part,
            const struct table *table, struct err *err)
{
    const char *const target[] = {table->schema, table->name};
    bool fits;

    if (require_same(r, c, part, err) != 0)
        return -1;
    if (staging_fits(r->staging, r->session, part->relid, target, &fits, err) != 0)
        return -1;
    return fits ? 0 : copyparts_unstage(c, part, "the target's columns changed", err);
}

static int
merge_table(const struct resync *r, struct table *table, struct err *err)
{
    struct resyncsql_counts counts;
    struct staging_name name = staging_name(r->staging, table->relation.relid);

    if (resyncsql_merge(r->session, table->plan, name.text, &counts, err) != 0) {
        snprintf(err->relation, sizeof err->relation, "%s", table->label);
        return -1;
    }
    log_write(r->session->log, LOG_INFO,
              "%s is copied again: %" PRIu64 " rows were missing, %" PRIu64 " were different, "
              "%" PRIu64 " were surplus",
              table->label, counts.missing, counts.different, counts.surplus);
    return 0;
}

static int
merge(const struct resync *r, struct copying *c, const struct copypart *part, struct err *err)
{
    struct table *table =
        make_table(r,
                   (struct bytes){.data = part->described.data + part->described.start,
                                  .len = buf_len(&part->described)},
                   err);
    int rc = -1;

    if (table != NULL && check(r, table, err) == 0 && require_fit(r, c, part, table, err) == 0 &&
        merge_table(r, table, err) == 0 &&
        staging_drop(r->staging, r->session, part->relid, err) == 0)
        rc = note_all(r, part->relid, err);
    if (rc != 0)
        err->culprit = part->relid;
    table_free(table);
    return rc;
}

/* The answer to the COMMIT of a merge may have been lost. That merge has dropped the staging table.
 */
static int
was_merged(const struct resync *r, uint32_t relid, bool *merged, struct err *err)
{
    uint32_t oid = 0;

    if (staging_oid(r->staging, r->session, relid, &oid, err) != 0)
        return -1;
    *merged = false;
    return oid != 0 ? 0 : ask_bool(r, is_merged, relid, merged, err);
}

/* Of the table whose first part this is. */
static int
settle_table(const struct resync *r, struct copying *c, struct copypart *first,
             const struct copypart *ended, bool *merged, struct err *err)
{
    bool missing = false;

    if (r->notes->hello->shard != 0)
        return ask_bool(r, is_merged, first->relid, merged, err);
    if (was_merged(r, first->relid, merged, err) != 0)
        return -1;
    if (*merged)
        return 0;
    if (ask_bool(r, any_missing, first->relid, &missing, err) != 0)
        return -1;
    *merged = !missing;
    return missing ? 0 : merge(r, c, ended, err);
}

/* Of the table whose first part this is, when it is known how its resync has ended. */
static int
set_states(const struct resync *r, struct copypart *first, bool merged, struct err *err)
{
    copyresync_set(first, merged);
    for (struct copypart *at = first; at != NULL && !merged; at = at->table_next)
        if (!at->gone && !at->out && at->ended_life != 0 &&
            copymissing_read(&r->notes->missing, r->session, at->relid, &at->missing, err) != 0)
            return -1;
    return 0;
}

/* The others stand still, and nobody stages any more. */
static int
drop_undone(const struct resync *r, const struct copying *c, bool *merged, struct err *err)
{
    for (const struct copypart *part = c->parts; part != NULL; part = part->next) {
        if (!part->undone)
            continue;
        *merged = true;
        if (r->notes->hello->shard == 0 &&
            staging_drop(r->staging, r->session, part->relid, err) != 0)
            return -1;
    }
    return 0;
}

int
resync_settle(const struct resync *r, struct copying *c, bool *merged, struct err *err)
{
    if (drop_undone(r, c, merged, err) != 0)
        return -1;
    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        const struct copypart *ended =
            part == copyparts_first(c, part->relid) ? copyresync_last_ended(part) : NULL;
        bool done;

        if (ended == NULL)
            continue;
        if (settle_table(r, c, part, ended, &done, err) != 0 || set_states(r, part, done, err) != 0)
            return -1;
        *merged = *merged || done;
    }
    return 0;
}
