/* mark.c: see mark.h. */
#include "sink-ch/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MARK_SIZE 340 /* with a table's name of the greatest length */

static const char truncating[] = "walpipe: truncating at ";
static const char truncated[] = "walpipe: truncated at ";
static const char only_rows[] = "walpipe: ";
static const char rows[] = "rows of ";

/* Moves past the words at *at. Returns false, with *at unchanged, if they are not there. */
static bool
take_words(const char **at, const char *words)
{
    size_t len = strlen(words);

    if (strncmp(*at, words, len) != 0)
        return false;
    *at += len;
    return true;
}

static bool
take_number(const char **at, char end, uint64_t *out)
{
    char *stop;

    if (**at < '0' || **at > '9')
        return false;
    *out = strtoull(*at, &stop, 10);
    if (*stop != end)
        return false;
    *at = stop + 1;
    return true;
}

static bool
take_truncation(const char **at, struct mark *mark)
{
    bool done = take_words(at, truncated);

    if (!done && !take_words(at, truncating))
        return false;
    mark->done = done;
    if (!take_number(at, '.', &mark->at.high) || **at < '0' || **at > '9')
        return false;
    mark->at.low = strtoull(*at, (char **)at, 10);
    return take_words(at, "; ") || **at == '\0';
}

static bool
take_rows(const char *at, struct mark *mark)
{
    uint64_t timeline;

    if (!take_words(&at, rows) || !take_number(&at, '/', &mark->system_identifier))
        return false;
    if (!take_number(&at, ' ', &timeline) &&
        !(take_number(&at, '+', &timeline) && take_number(&at, ' ', &mark->offset)))
        return false;
    if (timeline > UINT32_MAX)
        return false;
    mark->timeline = (uint32_t)timeline;
    return (size_t)snprintf(mark->source, sizeof mark->source, "%s", at) < sizeof mark->source;
}

void
mark_parse(struct bytes comment, struct mark *mark)
{
    char text[MARK_SIZE];
    const char *at = text;

    *mark = (struct mark){.writable = comment.len == 0};
    if (comment.len == 0 || comment.len >= sizeof text)
        return;
    memcpy(text, comment.data, comment.len);
    text[comment.len] = '\0';
    if (!take_truncation(&at, mark) && !take_words(&at, only_rows))
        *mark = (struct mark){0};
    else if (*at == '\0' || take_rows(at, mark))
        mark->writable = true;
    else
        *mark = (struct mark){0};
}

int
mark_read(struct server *server, const struct options *options, struct table *table,
          struct err *err)
{
    struct buf sql = {0};
    struct bytes comment = {0};
    struct cursor c;

    server_put_text(&sql, "SELECT comment FROM system.columns WHERE database = ");
    server_put_literal(&sql, table->target.database);
    server_put_text(&sql, " AND table = ");
    server_put_literal(&sql, table->target.table);
    server_put_text(&sql, " AND name = ");
    server_put_literal(&sql, options->version_column);
    server_put_text(&sql, " FORMAT RowBinary");
    if (server_query(server, "read a column's comment", &sql, err) != 0)
        return -1;
    c = cursor_over(server->answer.body.data, buf_len(&server->answer.body));
    if (c.left > 0 && !server_read_string(&c, &comment))
        return err_set(err, EXIT_PEER, "could not read a column's comment: malformed answer");
    mark_parse(comment, &table->mark);
    table->mark.at = version_to_width(table->version_width, table->mark.at);
    return 0;
}

static void
put_mark(const struct mark *mark, struct buf *sql)
{
    char text[MARK_SIZE] = "";
    int n = 0;

    if (mark->at.high != 0 || mark->at.low != 0)
        n = snprintf(text, sizeof text, "%s%" PRIu64 ".%" PRIu64 "%s",
                     mark->done ? truncated : truncating, mark->at.high, mark->at.low,
                     mark->system_identifier != 0 ? "; " : "");
    else
        n = snprintf(text, sizeof text, "%s", only_rows);
    if (mark->system_identifier != 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRIu64 "/%" PRIu32, rows,
                      mark->system_identifier, mark->timeline);
    if (mark->system_identifier != 0 && mark->offset != 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "+%" PRIu64, mark->offset);
    if (mark->system_identifier != 0)
        snprintf(text + n, sizeof text - (size_t)n, " %s", mark->source);
    server_put_literal(sql, text);
}

/* The source's rows, and no truncate. */
static void
mark_own(const struct table *table, struct mark *mark)
{
    mark->system_identifier = table->system_identifier;
    mark->timeline = table->timeline;
    snprintf(mark->source, sizeof mark->source, "%s", table->source_name);
}

void
mark_put_new(const struct table *table, struct buf *sql)
{
    struct mark mark = {0};

    mark_own(table, &mark);
    put_mark(&mark, sql);
}

int
mark_write(struct server *server, const struct options *options, struct table *table,
           struct err *why, struct err *err)
{
    struct buf sql = {0};

    *why = (struct err){0};
    if (!table->mark.writable)
        return 0;
    server_put_text(&sql, "ALTER TABLE ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " COMMENT COLUMN ");
    server_put_name(&sql, options->version_column);
    server_put_text(&sql, " ");
    put_mark(&table->mark, &sql);
    if (server_statement(server, "note in a column's comment what a table holds", &sql, err) == 0)
        return 0;
    if (err->code != EXIT_REFUSED)
        return -1;
    table->mark.writable = false;
    *why = *err;
    *err = (struct err){0};
    return 0;
}
