/* check.c: see check.h. Changes nothing in the target. */
#include "sink-pg/check.h"

#include <stdio.h>

#include "lib/intake.h"
#include "lib/pqmark.h"
#include "lib/verdict.h"
#include "sink-pg/checkcopy.h"
#include "sink-pg/mapping.h"
#include "sink-pg/neighbours.h"
#include "sink-pg/origin.h"
#include "sink-pg/plan.h"
#include "sink-pg/progress.h"
#include "sink-pg/wholes.h"

struct check {
    const struct options *options;
    struct log quiet; /* the session would log, but here its findings are printed as lines */
    struct session session;
    struct intake intake;
    struct verdicts verdicts;
    bool target_is_source;
};

static void
check_session(struct check *c)
{
    struct err err = {0};
    char message[200];

    verdict_say(&c->verdicts, VERDICT_OK, "target: connected to PostgreSQL %s",
                PQparameterStatus(c->session.conn, "server_version"));
    if (c->session.replica)
        verdict_say(&c->verdicts, VERDICT_OK,
                    "target: session_replication_role = replica is permitted");
    else
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "target: the role may not set session_replication_role: triggers and foreign "
                    "keys fire; slower");
    if (c->session.no_temp)
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "target: the role may not create temporary tables: slower");
    origin_check(&c->session, c->options->pipeline, c->intake.hello.sink, c->intake.hello.shards,
                 &c->verdicts);
    neighbours_check(&c->session, &c->verdicts);
    if (pqmark_find(c->session.conn, &c->intake.hello.run_id, &c->target_is_source, &err) != 0)
        verdict_fail(&c->verdicts, NULL, &err);
    if (c->intake.hello.system_identifier == 0)
        return; /* the source is not known */
    if (progress_check(&c->session, c->options->pipeline, &c->intake.hello, message, sizeof message,
                       &err) != 0)
        verdict_fail(&c->verdicts, NULL, &err);
    else
        verdict_say(&c->verdicts, VERDICT_OK, "%s", message);
}

/* A privilege on every column is as good as one on the table. */
static const char privileges_query[] =
    "SELECT pg_catalog.string_agg(p, ', ') FROM "
    "pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p "
    "CROSS JOIN (SELECT pg_catalog.format('%I.%I', $1::text, $2::text)::pg_catalog.regclass AS t) "
    "x "
    "WHERE NOT pg_catalog.has_table_privilege(t, p) AND (p IN ('DELETE', 'TRUNCATE') OR EXISTS "
    "(SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = t AND a.attnum > 0 "
    "AND NOT a.attisdropped AND NOT pg_catalog.has_column_privilege(t, a.attnum, "
    "CASE WHEN p IN ('DELETE', 'TRUNCATE') THEN 'SELECT' ELSE p END)))";

static void
check_privileges(struct check *c, const char *schema, const char *name)
{
    static const char what[] = "ask for privileges";
    const char *params[] = {schema, name};
    struct err err = {0};
    PGresult *result = pqx_exec_params(c->session.conn, what, privileges_query, 2, params, &err);

    result = pqx_shaped(result, what, 1, 1, "?", &err);
    if (result == NULL) {
        verdict_fail(&c->verdicts, NULL, &err);
        return;
    }
    if (!PQgetisnull(result, 0, 0)) {
        err_set(&err, EXIT_REFUSED, "%s.%s: the role lacks %s", schema, name,
                PQgetvalue(result, 0, 0));
        err_hint(&err, "grant it");
        verdict_fail(&c->verdicts, NULL, &err);
    }
    PQclear(result);
}

/* The session has row_security = off, so a table whose rows a policy would hide is an error, not a
 * selection. In the bits of a view's or foreign table's supported commands, 8 is INSERT, 4 UPDATE,
 * 16 DELETE. */
static const char storage_query[] =
    "SELECT pg_catalog.row_security_active(c.oid), "
    "pg_catalog.pg_relation_is_updatable(c.oid, true) & 8 = 0, "
    "pg_catalog.pg_relation_is_updatable(c.oid, true) & 20 <> 20, c.relkind = 'p' AND NOT EXISTS "
    "(SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid), EXISTS (SELECT FROM "
    "pg_catalog.pg_class u "
    "WHERE u.relpersistence = 'u' AND (u.oid = c.oid OR u.oid IN (SELECT relid FROM "
    "pg_catalog.pg_partition_tree(c.oid)))) FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2";

/* In the order of the columns of storage_query. */
static const struct {
    enum verdict verdict;
    const char *text;
} storage_findings[] = {
    {VERDICT_FAIL, "has row-level security that applies to the role, and would hide rows from it: "
                   "give the role BYPASSRLS, or disable row-level security for the table"},
    {VERDICT_FAIL, "takes no inserts: give the table another target with map"},
    {VERDICT_WARN, "does not take both updates and deletes: walpipe stops at the first one"},
    {VERDICT_FAIL, "is partitioned and has no partition: create what the source's rows need"},
    {VERDICT_WARN, "is UNLOGGED: a crash of the target empties it, and its rows do not come again: "
                   "ALTER TABLE ... SET LOGGED"},
};

static void
check_storage(struct check *c, const char *schema, const char *name)
{
    static const char what[] = "look at how a table takes rows";
    const char *params[] = {schema, name};
    struct err err = {0};
    PGresult *result = pqx_exec_params(c->session.conn, what, storage_query, 2, params, &err);

    result = pqx_shaped(result, what, 1, 1, "vvvvv", &err);
    if (result == NULL) {
        verdict_fail(&c->verdicts, NULL, &err);
        return;
    }
    for (size_t i = 0; i < sizeof storage_findings / sizeof *storage_findings; i++)
        if (PQgetvalue(result, 0, (int)i)[0] == 't')
            verdict_say(&c->verdicts, storage_findings[i].verdict, "%s.%s %s", schema, name,
                        storage_findings[i].text);
    PQclear(result);
}

/* With several workers, checks whether the table's rows may be split over them. */
static void
check_layout(struct check *c, const struct relation *relation, const char *schema, const char *name)
{
    const char *const target[2] = {schema, name};
    struct err err = {0};
    char reason[400];

    if (c->intake.layout.shards < 2)
        return;
    if (wholes_reason(&c->intake.layout, &c->session, relation, target, reason, &err) != 0)
        verdict_fail(&c->verdicts, NULL, &err);
    else if (reason[0] != '\0')
        verdict_say(&c->verdicts, VERDICT_OK, "%s.%s goes to one worker as a whole: %s", schema,
                    name, reason);
}

/* Refused when the first value comes. */
static void
check_binary(struct check *c, const struct plan *plan, const char *schema, const char *name)
{
    for (uint32_t i = 0; i < plan->columns_count && c->options->binary; i++) {
        const struct plan_column *column = &plan->columns[i];

        if (column->rule.binary == BINARY_REFUSED)
            verdict_say(&c->verdicts, VERDICT_FAIL,
                        "%s.%s: column \"%s\": whether the source's type is the target's %s is not "
                        "known, so its values cannot come in binary format: set binary = off",
                        schema, name, column->name, column->full_type);
    }
}

static void
check_way_back(struct check *c, const struct relation *relation, const char *schema,
               const char *name)
{
    const char *const target[2] = {schema, name};
    struct err err = {0};

    if (c->target_is_source &&
        neighbours_refuse_way_back(&c->session, &c->options->mapping, relation, target, &err) != 0)
        verdict_fail(&c->verdicts, NULL, &err);
}

static const char exists_query[] =
    "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2";

/* Whether walpipe run will create the table. */
static bool
will_be_made(struct check *c, const char *schema, const char *name)
{
    static const char what[] = "look for a table";
    const char *params[] = {schema, name};
    struct err ignored = {0}; /* the next question fails too, and says it */
    PGresult *result;
    bool missing;

    if (!c->options->create_tables)
        return false;
    result = pqx_exec_params(c->session.conn, what, exists_query, 2, params, &ignored);
    missing = result != NULL && PQntuples(result) == 0;
    PQclear(result);
    return missing;
}

static void
check_table(struct check *c, const struct relation *relation)
{
    struct notes notes = {0};
    const char *schema, *name;
    struct plan *plan;
    struct err err = {0};

    if (c->target_is_source && neighbours_refuse_loop(&c->options->mapping, relation, &err) != 0) {
        verdict_fail(&c->verdicts, NULL, &err);
        return;
    }
    mapping_target(&c->options->mapping, relation->schema, relation->name, &schema, &name);
    if (will_be_made(c, schema, name)) {
        verdict_say(&c->verdicts, VERDICT_OK,
                    "%s.%s -> %s.%s: the table does not exist yet: run will create it",
                    relation->schema, relation->name, schema, name);
        return;
    }
    plan = plan_make(&c->session, relation, schema, name, &notes, &err);
    if (plan == NULL) {
        verdict_fail(&c->verdicts, NULL, &err);
        return;
    }
    check_way_back(c, relation, schema, name);
    for (size_t i = 0; i < notes.count; i++)
        verdict_say(&c->verdicts, VERDICT_WARN, "%s.%s: %s", schema, name, notes.text[i]);
    check_privileges(c, schema, name);
    check_storage(c, schema, name);
    check_layout(c, relation, schema, name);
    check_binary(c, plan, schema, name);
    if (c->options->copies)
        checkcopy_table(&c->session, c->options->pipeline, c->intake.hello.sink, relation, plan,
                        schema, name, &c->verdicts);
    verdict_say(&c->verdicts, VERDICT_OK, "%s.%s -> %s.%s: %u columns", relation->schema,
                relation->name, schema, name, plan->columns_count);
    plan_free(plan);
}

static int
check_stream(struct check *c, struct err *err)
{
    struct relation relation;
    int rc;

    while ((rc = intake_next_relation(&c->intake, &relation, err)) == 0) {
        if (c->session.conn != NULL)
            check_table(c, &relation);
        relation_free(&relation);
    }
    return rc < 0 ? -1 : 0;
}

int
check_run(const struct options *options, const struct log *log, int in, struct err *err)
{
    struct check c = {.options = options, .quiet = *log, .verdicts.out = stdout};
    struct err why = {0};
    int rc;

    c.quiet.level = LOG_ERROR;
    c.session.log = &c.quiet;
    c.session.conninfo = options->conninfo;
    snprintf(c.session.application_name, sizeof c.session.application_name,
             "walpipe sink-pg --check");
    intake_init(&c.intake, in);
    rc = intake_hello(&c.intake, err);
    if (rc == 0 && session_open(&c.session, &why) == 0)
        check_session(&c);
    else if (rc == 0)
        verdict_fail(&c.verdicts, NULL, &why);
    if (rc == 0)
        rc = check_stream(&c, err);
    session_close(&c.session);
    intake_free(&c.intake);
    if (rc != 0)
        return -1;
    return c.verdicts.failed ? EXIT_REFUSED : EXIT_DONE;
}
