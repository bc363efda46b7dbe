/* check.c: see check.h. */
#include "sink-ch/check.h"

#include "sink-ch/checkcopy.h"
#include "sink-ch/history.h"
#include "sink-ch/rights.h"
#include "sink-ch/schema.h"
#include "sink-ch/schema_create.h"
#include "sink-ch/schema_mapping.h"
#include "sink-ch/stated.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/verdict.h"

struct check {
    struct verdicts verdicts;
    const char *table; /* being looked at */
    struct stated seen;
};

static void
say(void *context, enum finding finding, const char *text, const char *hint)
{
    struct check *check = context;

    verdict_say(&check->verdicts, finding == FINDING_FAIL ? VERDICT_FAIL : VERDICT_WARN,
                "table %s: %s%s%s", check->table, text, hint[0] == '\0' ? "" : ": ", hint);
}

/* Longer than some seconds, which a crash after a TRUNCATE can hit all the same. */
#define OLD_PARTS_MOST_SECONDS 10

static void
check_old_parts(struct worker *w, struct check *check)
{
    struct buf sql = {0};
    struct err err = {0};
    const struct buf *answer = &w->server.answer.body;
    struct bytes value;
    struct cursor c;
    char seconds[24];

    server_put_text(&sql, "SELECT value FROM system.merge_tree_settings WHERE name = "
                          "'old_parts_lifetime' FORMAT RowBinary");
    if (server_query(&w->server, "ask how long it keeps old parts", &sql, &err) != 0) {
        verdict_say(&check->verdicts, VERDICT_WARN, "%s", err.message);
        return;
    }
    c = cursor_over(answer->data, buf_len(answer));
    if (!server_read_string(&c, &value) || value.len >= sizeof seconds)
        return;
    memcpy(seconds, value.data, value.len);
    seconds[value.len] = '\0';
    if (strtoull(seconds, NULL, 10) > OLD_PARTS_MOST_SECONDS)
        verdict_say(&check->verdicts, VERDICT_WARN,
                    "ClickHouse %s keeps merged parts for %s s, and a restart within this time "
                    "brings back rows that TRUNCATE has removed: set <merge_tree>"
                    "<old_parts_lifetime>1</old_parts_lifetime></merge_tree> in its configuration, "
                    "and restart it",
                    w->server.version, seconds);
}

static int
check_server(struct worker *w, struct check *check)
{
    struct err err = {0};

    if (server_probe(&w->server, w->options->database, &err) != 0) {
        verdict_say(&check->verdicts, VERDICT_FAIL, "ClickHouse at %s: %s%s%s", w->options->url,
                    err.message, err.hint[0] == '\0' ? "" : ": ", err.hint);
        return -1;
    }
    verdict_say(&check->verdicts, VERDICT_OK, "ClickHouse %s at %s, database %s", w->server.version,
                w->options->url, w->options->database);
    if (!w->server.has_uint128)
        verdict_say(&check->verdicts, VERDICT_WARN,
                    "ClickHouse %s has no UInt128: in transactions of more than 16,383 changes "
                    "the later ones rely on their order of arrival",
                    w->server.version);
    if (w->server.revives)
        check_old_parts(w, check);
    return 0;
}

/* Prints "what: id int4 -> Int32, ..." as a line that is no finding. */
static void
print_mapping(struct check *check, const struct worker *w, const struct table *table,
              const char *what)
{
    struct buf mapping = {0};

    schema_put_mapping(&w->server, table, &mapping);
    buf_append(&mapping, "", 1);
    verdict_say(&check->verdicts, VERDICT_OK, "table %s -> %s: %s: %s", table->source_name,
                table->target_sql, what,
                mapping.failed ? "out of memory" : (const char *)mapping.data);
    buf_free(&mapping);
}

static void
print_new(struct check *check, const struct worker *w, const struct table *table)
{
    struct buf what = {0};

    server_put_text(&what, "will be created, ");
    schema_put_engine(&w->server, w->options, table, &what);
    buf_append(&what, "", 1);
    print_mapping(check, w, table, what.failed ? "out of memory" : (const char *)what.data);
    buf_free(&what);
}

/* An insert of no rows needs the right to insert, and writes nothing. */
static void
check_right(struct worker *w, const struct table *table, struct check *check)
{
    struct buf sql = {0};
    struct err err = {0};

    server_put_text(&sql, "INSERT INTO ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " (");
    server_put_name(&sql, table->columns[0].name);
    server_put_text(&sql, ") SELECT ");
    server_put_name(&sql, table->columns[0].name);
    server_put_text(&sql, " FROM ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " WHERE 0");
    if (server_statement(&w->server, "insert no rows", &sql, &err) != 0)
        say(check, FINDING_FAIL, err.message, "GRANT SELECT, INSERT on it to the sink's user");
}

/* A read-only user has no right to try. */
static void
check_readonly(struct worker *w, struct check *check)
{
    struct buf sql = {0};
    struct err err = {0};
    const struct buf *answer = &w->server.answer.body;

    server_put_text(&sql, "SELECT value FROM system.settings WHERE name = 'readonly' FORMAT "
                          "TabSeparated");
    if (server_query(&w->server, "ask whether the user is read-only", &sql, &err) != 0)
        verdict_say(&check->verdicts, VERDICT_FAIL, "%s", err.message);
    else if (buf_len(answer) > 0 && answer->data[answer->start] != '0')
        verdict_say(&check->verdicts, VERDICT_FAIL,
                    "the ClickHouse user is read-only: give it a profile with readonly = 0");
}

/* create_tables needs it. */
static void
check_ddl(struct worker *w, struct check *check)
{
    if (w->options->create_tables && !rights_allow_ddl(&w->server))
        verdict_say(&check->verdicts, VERDICT_FAIL,
                    "the ClickHouse user may not use DDL, which create_tables needs: give it a "
                    "profile with allow_ddl = 1");
}

static void
check_missing(struct worker *w, const struct table *table, struct check *check)
{
    struct report report = {.say = say, .context = check};
    const char *reason;

    if (!w->options->create_tables)
        say(check, FINDING_FAIL, "the target table does not exist", "create it, or create_tables");
    else if (!schema_can_create(w->options, table, &reason))
        say(check, FINDING_FAIL, reason, "create the target table by hand");
    else
        print_new(check, w, table);
    if (w->options->create_tables)
        rights_check_ddl(&w->server, w->options, table, false, &report);
}

/* A stream of a source that could not be reached names no cluster. */
static bool
knows_history(const struct worker *w)
{
    return w->intake.hello.system_identifier != 0 && w->options->pipeline != NULL;
}

static void
check_copy(struct worker *w, const struct table *table, struct check *check)
{
    struct err err = {0};

    if (w->options->copies && knows_history(w) && checkcopy_look(w, table, &err) != 0)
        say(check, FINDING_FAIL, err.message, err.hint);
}

/* Checks the origin of the rows in the table. */
static void
check_history(struct worker *w, struct table *table, struct check *check)
{
    struct err err = {0}, why = {0};
    int rc = knows_history(w) ? history_look(w, table, &why, &err) : 0;

    if (rc == 1)
        say(check, FINDING_FAIL, why.message, why.hint);
    else if (rc < 0 || history_check_name(w, table, &err) != 0)
        say(check, FINDING_FAIL, err.message, err.hint);
}

static int
visit_marked(struct worker *w, struct table *table, void *context, struct err *err)
{
    struct check *check = context;
    struct err why = {0};
    int rc;

    for (uint32_t i = 0; i < check->seen.count; i++)
        if (strcmp(check->seen.tables[i]->target_sql, table->target_sql) == 0)
            return 0;
    rc = history_look(w, table, &why, err);
    if (rc == 1)
        verdict_fail(&check->verdicts, NULL, &why);
    return rc < 0 ? -1 : 0;
}

/* Makes the checks of run before its first write. Also looks for lost tails in tables that are not
 * published. */
static void
check_histories(struct worker *w, struct check *check)
{
    struct err err = {0}, why = {0};
    int rc = journal_look(&w->journal, &why, &err);

    if (rc == 1)
        verdict_fail(&check->verdicts, NULL, &why);
    if (rc < 0 || history_each(w, visit_marked, check, &err) != 0)
        verdict_fail(&check->verdicts, NULL, &err);
}

static void
check_table(struct worker *w, uint32_t number, struct check *check)
{
    struct table *table = check->seen.tables[number];
    struct report report = {.say = say, .context = check};
    struct err failure = {0};
    char columns[32];
    bool shared;

    check->table = table->source_name;
    shared = table_check_target(table, check->seen.tables, number, false, &failure) != 0;
    if (shared)
        say(check, FINDING_FAIL, failure.message, failure.hint);
    failure = (struct err){0};
    switch (schema_load(&w->server, w->options, table, false, &report, &failure)) {
    case SCHEMA_READY:
        snprintf(columns, sizeof columns, "%u columns", table->columns_count);
        print_mapping(check, w, table, columns);
        check_right(w, table, check);
        rights_check_ddl(&w->server, w->options, table, true, &report);
        if (!shared) /* the origin of its rows is clear then */
            check_history(w, table, check);
        check_copy(w, table, check);
        break;
    case SCHEMA_MISSING:
        check_missing(w, table, check);
        break;
    case SCHEMA_NARROW:
        print_mapping(check, w, table, "gets the columns it lacks");
        rights_check_ddl(&w->server, w->options, table, true, &report);
        check_copy(w, table, check);
        break;
    case SCHEMA_UNFIT:
        break;
    case SCHEMA_ERROR:
        say(check, FINDING_FAIL, failure.message, failure.hint);
        break;
    }
}

int
check_run(struct worker *w, struct err *err)
{
    struct check check = {.verdicts.out = stdout};
    bool connected = check_server(w, &check) == 0;
    int rc;

    if (connected)
        check_readonly(w, &check);
    if (connected)
        check_ddl(w, &check);
    rc = stated_read(&check.seen, w, err);
    for (uint32_t i = 0; rc == 0 && connected && i < check.seen.count; i++)
        check_table(w, i, &check);
    if (rc == 0 && connected && knows_history(w))
        check_histories(w, &check);
    stated_free(&check.seen);
    return rc == 0 && check.verdicts.failed ? 1 : rc;
}
