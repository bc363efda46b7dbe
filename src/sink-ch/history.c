/* history.c: see history.h. */
#include "sink-ch/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "sink-ch/mark.h"

static const char copy_anew[] =
    "stop walpipe, run walpipe drop, empty the tables in the targets, set copy = yes, and start "
    "again; or correct the rows in ClickHouse where they are, and run \"walpipe adopt\"";

static bool
is_ours(const struct hello *hello, const struct mark *mark)
{
    return mark->system_identifier == hello->system_identifier && mark->timeline == hello->timeline;
}

/* ---- the rows of a table ---- */

struct content {
    bool any;
    uint64_t lsn; /* highest one in the versions, 0 if none, or for rows copied by hand */
};

/* An LSN in the versions of a history with this offset, or 0 for one of an older history. */
static uint64_t
within(uint64_t offset, uint64_t lsn)
{
    return lsn > offset ? lsn - offset : 0;
}

static void
put_highest_lsn(const struct options *options, uint32_t width, struct buf *sql)
{
    server_put_text(sql, width == 16 ? "toUInt64(bitShiftRight(max("
                                     : "toUInt64(bitShiftLeft(bitShiftRight(max(");
    server_put_name(sql, options->version_column);
    server_put_text(sql, width == 16 ? "), 64))" : "), 14), 2))");
}

static int
read_content(struct server *server, const struct options *options, const char *target_sql,
             uint32_t width, struct content *content, struct err *err)
{
    static const char what[] = "look for a table's newest row";
    struct buf sql = {0}, *answer = &server->answer.body;
    char *at;

    server_put_text(&sql, "SELECT count(), ");
    put_highest_lsn(options, width, &sql);
    server_put_text(&sql, " FROM ");
    server_put_text(&sql, target_sql);
    server_put_text(&sql, " FORMAT TabSeparated");
    if (server_query(server, what, &sql, err) != 0)
        return -1;
    buf_append(answer, "", 1);
    if (answer->failed)
        return err_set(err, EXIT_PEER, "could not %s: out of memory", what);
    content->any = strtoull((const char *)answer->data + answer->start, &at, 10) > 0;
    content->lsn = strtoull(at, NULL, 10);
    return 0;
}

int
history_highest(struct worker *w, const struct table *table, uint64_t *lsn, struct err *err)
{
    struct content content = {0};
    int rc = read_content(&w->server, w->options, table->target_sql, table->version_width, &content,
                          err);

    *lsn = content.any ? content.lsn : 0;
    return rc;
}

/* ---- refusals ---- */

static void
refuse_rows(const struct hello *hello, const char *target_sql, const struct mark *mark,
            uint64_t lsn, struct err *why)
{
    if (mark->system_identifier != hello->system_identifier)
        err_set(why, EXIT_REFUSED,
                "%s holds rows of another cluster: its system identifier is %" PRIu64
                ", the source's %" PRIu64,
                target_sql, mark->system_identifier, hello->system_identifier);
    else if (mark->timeline == hello->previous_timeline)
        err_set(why, EXIT_REFUSED,
                "the source left timeline %" PRIu32 " at %s, and %s has changes of that timeline "
                "up to %s, which the source never had",
                mark->timeline, lsn_format(hello->switch_lsn).text, target_sql,
                lsn_format(within(mark->offset, lsn)).text);
    else
        err_set(why, EXIT_REFUSED,
                "%s holds rows of timeline %" PRIu32
                ", up to %s, the source is on timeline %" PRIu32
                ", which branched off from timeline %" PRIu32,
                target_sql, mark->timeline, lsn_format(within(mark->offset, lsn)).text,
                hello->timeline, hello->previous_timeline);
    err_hint(why, "%s", copy_anew);
}

static void
refuse_ahead(const struct hello *hello, const struct table *table, uint64_t lsn, struct err *why)
{
    err_set(why, EXIT_REFUSED,
            "%s holds rows of positions up to %s, and the source's changes begin at %s: they are "
            "of another history and would hide the source's rows",
            table->target_sql, lsn_format(lsn).text, lsn_format(hello->start_lsn).text);
    err_hint(why, "%s", copy_anew);
}

static int
refuse_name(const struct hello *hello, const struct options *options, const struct table *table,
            struct err *err)
{
    const struct mark *mark = &table->mark;
    char offset[24] = "";

    if (mark->offset != 0)
        snprintf(offset, sizeof offset, "+%" PRIu64, mark->offset);
    err_set(err, EXIT_REFUSED, "%s holds rows of \"%s\", and \"%s\" of the source goes there too",
            table->target_sql, mark->source, table->source_name);
    return err_hint(err,
                    "set map for one of them; if the table was renamed, run in ClickHouse: ALTER "
                    "TABLE %s COMMENT COLUMN %s 'walpipe: rows of %" PRIu64 "/%" PRIu32 "%s %s'",
                    table->target_sql, options->version_column, hello->system_identifier,
                    hello->timeline, offset, table->source_name);
}

/* ---- one table ---- */

/* The LSN where the marked history ends in the source's own, or 0 if it is not part of it. */
static uint64_t
end_of(const struct hello *hello, const struct mark *mark)
{
    bool before = mark->system_identifier == hello->system_identifier &&
                  hello->previous_timeline != 0 && mark->timeline == hello->previous_timeline;

    return before ? hello->switch_lsn : 0;
}

/* Checks that rows of the history that mark names are the source's, up to the LSN where it left
 * that timeline. Rows with version 0 were copied by hand since. A truncate beyond the end is
 * ignored if the table was filled again. Returns 0, 1 with why if they are not, or -1 with err. */
static int
judge(struct worker *w, const char *target_sql, uint32_t width, struct mark *mark, struct err *why,
      struct err *err)
{
    const struct hello *hello = w->journal.hello;
    uint64_t end = end_of(hello, mark), truncated = version_lsn(width, mark->at), beyond = 0;
    struct content content;

    if (read_content(&w->server, w->options, target_sql, width, &content, err) != 0)
        return -1;
    if (content.any && content.lsn > 0 && within(mark->offset, content.lsn) >= end)
        beyond = content.lsn;
    else if (end > 0 && !content.any && within(mark->offset, truncated) >= end)
        beyond = truncated;
    if (beyond > 0) {
        refuse_rows(hello, target_sql, mark, beyond, why);
        return 1;
    }
    if (within(mark->offset, truncated) >= end)
        mark->at = (struct version){0};
    return 0;
}

/* There is no mark with the origin of these rows. */
static int
judge_unmarked(struct worker *w, struct table *table, struct err *why, struct err *err)
{
    const struct hello *hello = w->journal.hello;
    struct content content;

    if (read_content(&w->server, w->options, table->target_sql, table->version_width, &content,
                     err) != 0)
        return -1;
    if (content.any && content.lsn > 0 && content.lsn >= hello->start_lsn) {
        refuse_ahead(hello, table, content.lsn, why);
        return 1;
    }
    if (version_lsn(table->version_width, table->mark.at) >= hello->start_lsn)
        table->mark.at = (struct version){0};
    return 0;
}

/* Infers from the journal the mark of a table that was written by a walpipe before such marks. Once
 * a history was adopted the mark is required, because only the mark has the offset. */
static void
guess_mark(const struct journal *journal, struct mark *mark)
{
    if (mark->system_identifier != 0 || journal->known == JOURNAL_NOTHING || journal->adopted)
        return;
    mark->system_identifier = journal->hello->system_identifier;
    mark->timeline = journal->known == JOURNAL_OURS ? journal->hello->timeline
                                                    : journal->hello->previous_timeline;
}

/* Call it after the table's mark was read. Returns the same as history_look. */
static int
judge_table(struct worker *w, struct table *table, struct err *why, struct err *err)
{
    guess_mark(&w->journal, &table->mark);
    if (is_ours(w->journal.hello, &table->mark))
        return 0;
    if (table->mark.system_identifier == 0)
        return w->journal.off ? 0 : judge_unmarked(w, table, why, err);
    return judge(w, table->target_sql, table->version_width, &table->mark, why, err);
}

int
history_look(struct worker *w, struct table *table, struct err *why, struct err *err)
{
    if (!table->has_version)
        return 0;
    if (mark_read(&w->server, w->options, table, err) != 0)
        return -1;
    return judge_table(w, table, why, err);
}

int
history_check_name(const struct worker *w, const struct table *table, struct err *err)
{
    if (!table->has_version || !is_ours(w->journal.hello, &table->mark) ||
        table->mark.source[0] == '\0' || strcmp(table->mark.source, table->source_name) == 0)
        return 0;
    return refuse_name(w->journal.hello, w->options, table, err);
}

static int
mark_as_ours(struct worker *w, struct table *table, struct err *err)
{
    struct mark *mark = &table->mark;
    struct err why;

    mark->system_identifier = w->journal.hello->system_identifier;
    mark->timeline = w->journal.hello->timeline;
    if (table->source_name[0] != '\0')
        snprintf(mark->source, sizeof mark->source, "%s", table->source_name);
    if (mark_write(&w->server, w->options, table, &why, err) != 0)
        return -1;
    if (why.message[0] != '\0')
        log_write(w->log, LOG_WARNING,
                  "%s; rows of another history in %s would not be noticed later", why.message,
                  table->target_sql);
    return mark->writable ? 0 : journal_claim(&w->journal, err);
}

/* A table whose mark is not ours. If it is refused, it may be marked as ours by now, because
 * another worker did that and writes to it. */
static int
admit_other(struct worker *w, struct table *table, struct err *err)
{
    struct err why = {0};
    int rc = judge_table(w, table, &why, err);

    if (rc == 0)
        return mark_as_ours(w, table, err);
    if (rc < 0 || mark_read(&w->server, w->options, table, err) != 0)
        return -1;
    if (is_ours(w->journal.hello, &table->mark))
        return 0;
    *err = why;
    return -1;
}

int
history_admit(struct worker *w, struct table *table, struct err *err)
{
    if (!table->has_version)
        return 0;
    if (mark_read(&w->server, w->options, table, err) != 0)
        return -1;
    if (!is_ours(w->journal.hello, &table->mark) && admit_other(w, table, err) != 0)
        return -1;
    return history_check_name(w, table, err);
}

int
history_announce(struct worker *w, const struct table *table, struct err *err)
{
    if (table->has_version && table->mark.writable)
        return 0;
    return journal_announce(&w->journal, w->transaction.commit_lsn, err);
}

/* ---- all tables with rows of the source's cluster ---- */

static void
put_databases(const struct options *options, struct buf *sql)
{
    server_put_literal(sql, options->database);
    for (size_t i = 0; i < options->map.count; i++)
        if (options->map.entries[i].to_schema[0] != '\0') {
            server_put_text(sql, ", ");
            server_put_literal(sql, options->map.entries[i].to_schema);
        }
}

static int
ask_marks(struct worker *w, struct err *err)
{
    const struct hello *hello = w->journal.hello;
    struct buf sql = {0};
    char pattern[64];

    snprintf(pattern, sizeof pattern, "walpipe: %%rows of %" PRIu64 "/%%",
             hello->system_identifier);
    server_put_text(&sql,
                    "SELECT database, table, type, comment FROM system.columns WHERE name = ");
    server_put_literal(&sql, w->options->version_column);
    server_put_text(&sql, " AND comment LIKE ");
    server_put_literal(&sql, pattern);
    server_put_text(&sql, " AND database IN (");
    put_databases(w->options, &sql);
    server_put_text(&sql, ") FORMAT RowBinary");
    return server_query(&w->server, "look for tables with rows of another timeline", &sql, err);
}

static bool
take_name(struct cursor *c, char *out)
{
    struct bytes text;

    if (!server_read_string(c, &text) || text.len > TARGET_NAME_MAX)
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

/* Visits one row of the answer. */
static int
visit_marked(struct worker *w, struct cursor *c, history_visit *visit, void *context,
             struct err *err)
{
    struct table table = {.has_version = true};
    struct bytes type, comment;
    int rc = 0;

    if (!take_name(c, table.target.database) || !take_name(c, table.target.table) ||
        !server_read_string(c, &type) || !server_read_string(c, &comment))
        return err_set(err, EXIT_PEER, "could not look for tables: malformed answer");
    table.version_width = type.len == 7 ? 16 : 8; /* UInt128, UInt64 */
    mark_parse(comment, &table.mark);
    table.mark.at = version_to_width(table.version_width, table.mark.at);
    table.target_sql = table_target_sql(&table.target);
    if (table.target_sql == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    if (!is_ours(w->journal.hello, &table.mark))
        rc = visit(w, &table, context, err);
    free(table.target_sql);
    return rc;
}

int
history_each(struct worker *w, history_visit *visit, void *context, struct err *err)
{
    struct buf marks = {0};
    struct cursor c;
    int rc = 0;

    if (ask_marks(w, err) != 0)
        return -1;
    buf_append(&marks, w->server.answer.body.data, buf_len(&w->server.answer.body));
    if (marks.failed)
        rc = err_set(err, EXIT_PEER, "out of memory for an answer");
    for (c = cursor_over(marks.data, buf_len(&marks)); rc == 0 && c.left > 0;)
        rc = visit_marked(w, &c, visit, context, err);
    buf_free(&marks);
    return rc;
}

static int
admit_marked(struct worker *w, struct table *table, void *context, struct err *err)
{
    (void)context;
    return admit_other(w, table, err);
}

int
history_open(struct worker *w, struct err *err)
{
    return history_each(w, admit_marked, NULL, err);
}
