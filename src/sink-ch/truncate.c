/* truncate.c: TRUNCATE, and the trace it leaves. After a restart changes from before a truncate may
 * come again when ClickHouse's table is already empty; values that they lack (unchanged TOAST) are
 * then nowhere, and nobody needs them. So that this is told from a value that should be there, the
 * version of the last truncate stands in the comment of the version column, where it outlives rows
 * and merges: "walpipe: truncated at 141733920768.1" (the version's high and low half). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink-ch/worker.h"

static const char mark[] = "walpipe: truncated at ";

static int
out_of_memory(const struct table *table, struct err *err)
{
    err_set(err, EXIT_PEER, "out of memory for a statement");
    return table_error(table, 0, err);
}

/* A comment that somebody else wrote stays. */
static void
parse_comment(struct table *table, struct bytes comment)
{
    char text[96];
    uint64_t high, low;

    table->keeps_mark = comment.len == 0;
    if (comment.len >= sizeof text)
        return;
    memcpy(text, comment.data, comment.len);
    text[comment.len] = '\0';
    if (strncmp(text, mark, sizeof mark - 1) != 0 ||
        sscanf(text + sizeof mark - 1, "%" SCNu64 ".%" SCNu64, &high, &low) != 2)
        return;
    table->keeps_mark = true;
    table->truncated = (struct version){.high = high, .low = low};
}

int
truncate_read_mark(struct worker *worker, struct table *table, struct err *err)
{
    struct server *server = &worker->server;
    struct buf sql = {0};
    struct bytes comment;
    struct cursor c;
    int rc;

    if (!table->keyed)
        return 0;
    server_put_text(&sql, "SELECT comment FROM system.columns WHERE database = ");
    server_put_literal(&sql, table->target.database);
    server_put_text(&sql, " AND table = ");
    server_put_literal(&sql, table->target.table);
    server_put_text(&sql, " AND name = ");
    server_put_literal(&sql, worker->options->version_column);
    server_put_text(&sql, " FORMAT RowBinary");
    buf_append(&sql, "", 1);
    rc = sql.failed ? out_of_memory(table, err)
                    : server_query(server, "read a column's comment", (const char *)sql.data, err);
    buf_free(&sql);
    if (rc != 0)
        return -1;
    c = cursor_over(server->answer.body.data, buf_len(&server->answer.body));
    if (c.left > 0 && server_read_string(&c, &comment))
        parse_comment(table, comment);
    return 0;
}

/* Written before the rows go. Without the right to do so the truncate is done all the same. */
static int
write_mark(struct worker *worker, struct table *table, struct version version, struct err *err)
{
    struct buf sql = {0};
    char text[96];
    int rc;

    if (!table->keyed || !table->keeps_mark || version_compare(version, table->truncated) <= 0)
        return 0;
    snprintf(text, sizeof text, "%s%" PRIu64 ".%" PRIu64, mark, version.high, version.low);
    server_put_text(&sql, "ALTER TABLE ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " COMMENT COLUMN ");
    server_put_name(&sql, worker->options->version_column);
    server_put_text(&sql, " ");
    server_put_literal(&sql, text);
    buf_append(&sql, "", 1);
    rc = sql.failed ? out_of_memory(table, err)
                    : server_statement(&worker->server, "note a truncate in a column's comment",
                                       (const char *)sql.data, err);
    buf_free(&sql);
    if (rc == 0)
        table->truncated = version;
    if (rc == 0 || err->code != EXIT_REFUSED)
        return rc;
    log_write(worker->log, LOG_WARNING, "%s; %s is truncated without a note", err->message,
              table->target_sql);
    table->keeps_mark = false;
    return 0;
}

int
truncate_apply(struct worker *worker, struct table *table, uint64_t ordinal, struct err *err)
{
    struct version version = rows_version(worker, table, ordinal);
    struct buf sql = {0};
    int rc;

    if (write_mark(worker, table, version, err) != 0)
        return -1;
    server_put_text(&sql, "TRUNCATE TABLE ");
    server_put_text(&sql, table->target_sql);
    buf_append(&sql, "", 1);
    rc = sql.failed
             ? out_of_memory(table, err)
             : server_statement(&worker->server, "truncate a table", (const char *)sql.data, err);
    buf_free(&sql);
    return rc == 0 ? 0 : table_error(table, worker->transaction.commit_lsn, err);
}
