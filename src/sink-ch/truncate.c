/* truncate.c: TRUNCATE, once. Everything else may be applied again and again, because rows carry
 * versions; a truncate that is repeated would take newer rows with it, which may have been
 * acknowledged long ago. So the comment of the version column, which outlives rows and merges, says
 * how far a table was truncated: "walpipe: truncated at 167772160.0" (the version's two halves), or
 * "truncating" while that is being done. Changes with a lower version than that are dead and are
 * not applied any more (rows.c), and a truncate that is done is not done again. */
#include "sink-ch/truncate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink-ch/rows.h"

static const char truncating[] = "walpipe: truncating at ";
static const char truncated[] = "walpipe: truncated at ";

static bool
parse_mark(const char *text, const char *state, struct version *version)
{
    size_t len = strlen(state);

    return strncmp(text, state, len) == 0 &&
           sscanf(text + len, "%" SCNu64 ".%" SCNu64, &version->high, &version->low) == 2;
}

/* A comment that somebody else wrote stays. */
static void
parse_comment(struct table *table, struct bytes comment)
{
    struct truncation *t = &table->truncation;
    char text[96];

    t->keeps_mark = comment.len == 0;
    if (comment.len >= sizeof text)
        return;
    memcpy(text, comment.data, comment.len);
    text[comment.len] = '\0';
    if (parse_mark(text, truncated, &t->at))
        t->keeps_mark = t->done = true;
    else if (parse_mark(text, truncating, &t->at)) {
        t->keeps_mark = true;
        t->done = false;
    }
}

int
truncate_read_mark(struct worker *worker, struct table *table, struct err *err)
{
    struct server *server = &worker->server;
    struct buf sql = {0};
    struct bytes comment;
    struct cursor c;

    if (!table->has_version)
        return 0;
    server_put_text(&sql, "SELECT comment FROM system.columns WHERE database = ");
    server_put_literal(&sql, table->target.database);
    server_put_text(&sql, " AND table = ");
    server_put_literal(&sql, table->target.table);
    server_put_text(&sql, " AND name = ");
    server_put_literal(&sql, worker->options->version_column);
    server_put_text(&sql, " FORMAT RowBinary");
    if (server_query(server, "read a column's comment", &sql, err) != 0)
        return -1;
    c = cursor_over(server->answer.body.data, buf_len(&server->answer.body));
    if (c.left > 0 && server_read_string(&c, &comment))
        parse_comment(table, comment);
    return 0;
}

/* Without the right to do so the truncate is done all the same. */
static int
write_mark(struct worker *worker, struct table *table, const char *state, struct err *err)
{
    struct truncation *t = &table->truncation;
    struct buf sql = {0};
    char text[96];
    int rc;

    if (!t->keeps_mark)
        return 0;
    snprintf(text, sizeof text, "%s%" PRIu64 ".%" PRIu64, state, t->at.high, t->at.low);
    server_put_text(&sql, "ALTER TABLE ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " COMMENT COLUMN ");
    server_put_name(&sql, worker->options->version_column);
    server_put_text(&sql, " ");
    server_put_literal(&sql, text);
    rc = server_statement(&worker->server, "note a truncate in a column's comment", &sql, err);
    if (rc == 0 || err->code != EXIT_REFUSED)
        return rc;
    log_write(worker->log, LOG_WARNING, "%s; %s is truncated without a note", err->message,
              table->target_sql);
    t->keeps_mark = false;
    return 0;
}

static int
empty_table(struct worker *worker, const struct table *table, struct err *err)
{
    struct buf sql = {0};
    int rc;

    server_put_text(&sql, "TRUNCATE TABLE ");
    server_put_text(&sql, table->target_sql);
    rc = server_statement(&worker->server, "truncate a table", &sql, err);
    return rc == 0 ? 0 : table_error(table, worker->transaction.commit_lsn, err);
}

int
truncate_apply(struct worker *worker, struct table *table, uint64_t ordinal, struct err *err)
{
    struct truncation *t = &table->truncation;
    struct version version = rows_version(worker, table, ordinal);
    int order;

    if (!table->has_version)
        return empty_table(worker, table, err);
    /* Another walpipe may have taken over while this one was frozen, and have done it. */
    if (t->keeps_mark && truncate_read_mark(worker, table, err) != 0)
        return table_error(table, worker->transaction.commit_lsn, err);
    order = version_compare(version, t->at);
    /* Changes that share a truncate's version (version.h) can't be told from those behind it. */
    if (order < 0 || (order == 0 && t->done && !version_is_shared(table->version_width, version)))
        return 0;
    t->at = version;
    t->done = false;
    if (write_mark(worker, table, truncating, err) != 0 || empty_table(worker, table, err) != 0 ||
        write_mark(worker, table, truncated, err) != 0)
        return -1;
    t->done = true;
    return 0;
}
