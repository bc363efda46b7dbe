/* rights.c: see rights.h. */
#include "sink-ch/rights.h"

#include <stdio.h>

#define NAME_SIZE (TARGET_NAME_MAX + sizeof "_current")

static void
put_object(const struct table *table, const char *name, struct buf *sql)
{
    server_put_name(sql, table->target.database);
    server_put_text(sql, ".");
    server_put_name(sql, name);
}

/* CHECK GRANT takes no FORMAT. Its 0 is text, or a byte if the profile has a binary
 * default_format. */
static bool
has(struct server *server, const char *right, const struct table *table, const char *name)
{
    const struct buf *answer = &server->answer.body;
    struct err unknown = {0};
    struct buf sql = {0};

    server_put_text(&sql, "CHECK GRANT ");
    server_put_text(&sql, right);
    server_put_text(&sql, " ON ");
    put_object(table, name, &sql);
    if (server_query(server, "ask for a right", &sql, &unknown) != 0 || buf_len(answer) == 0)
        return true;
    return answer->data[answer->start] != '0' && answer->data[answer->start] != 0;
}

static void
need(struct server *server, enum finding finding, const char *right, const char *without,
     const struct table *table, const char *name, struct report *report)
{
    struct buf object = {0};

    if (has(server, right, table, name))
        return;
    put_object(table, name, &object);
    buf_append(&object, "", 1);
    report_say(report, finding, "GRANT it to the sink's user",
               "the user has no right to %s on %s%s", right,
               object.failed ? name : (const char *)object.data, without);
    buf_free(&object);
}

void
rights_check_ddl(struct server *server, const struct options *options, const struct table *table,
                 bool exists, struct report *report)
{
    const char *name = table->target.table;
    char view[NAME_SIZE];

    snprintf(view, sizeof view, "%s_current", name);
    if (options->create_tables && !exists) {
        need(server, FINDING_FAIL, "CREATE TABLE", "", table, name, report);
        need(server, FINDING_FAIL, "INSERT", "", table, name, report);
        need(server, FINDING_FAIL, "SELECT", "", table, name, report);
    }
    if (options->create_tables)
        need(server, FINDING_FAIL, "ALTER ADD COLUMN", "", table, name, report);
    if (options->create_tables && table_has_key(table)) {
        need(server, FINDING_FAIL, "CREATE VIEW", "", table, view, report);
        need(server, FINDING_FAIL, "DROP VIEW", "", table, view, report);
    }
    if (table_has_key(table))
        need(server, FINDING_WARN, "ALTER COMMENT COLUMN",
             ", so a truncate may be done again, and rows of another history are not noticed",
             table, name, report);
}

bool
rights_allow_ddl(struct server *server)
{
    static const char question[] = "SELECT value FROM system.settings WHERE name = 'allow_ddl' "
                                   "FORMAT TabSeparated";
    const struct buf *answer = &server->answer.body;
    struct err unknown = {0};
    struct buf sql = {0};

    server_put_text(&sql, question);
    return server_query(server, "ask whether the user may use DDL", &sql, &unknown) != 0 ||
           buf_len(answer) == 0 || answer->data[answer->start] != '0';
}
