/* view.c: see view.h. */
#include "sink-ch/view.h"

#include <stdio.h>
#include <stdlib.h>

static const char asking[] = "look at the view of current rows";

static int
put_view_name(const struct table *table, struct buf *sql, struct err *err)
{
    char name[TARGET_NAME_MAX + 16];

    snprintf(name, sizeof name, "%s_current", table->target.table);
    if (!table_name_fits(table->target.table, "_current"))
        return err_set(err, EXIT_REFUSED, "the name of view \"%s\" is too long", name);
    server_put_name(sql, table->target.database);
    server_put_text(sql, ".");
    server_put_name(sql, name);
    return 0;
}

/* The text behind FROM. */
static void
put_source(const struct options *options, const struct table *table, struct buf *sql)
{
    server_put_text(sql, table->target_sql);
    server_put_text(sql, " FINAL WHERE ");
    server_put_name(sql, options->deleted_column);
    server_put_text(sql, " = 0");
}

int
view_create(struct server *server, const struct options *options, const struct table *table,
            struct err *err)
{
    const struct relation *relation = &table->relation;
    const char *separator = "";
    struct buf sql = {0};

    server_put_text(&sql, "CREATE VIEW IF NOT EXISTS ");
    if (put_view_name(table, &sql, err) != 0) {
        buf_free(&sql);
        return -1;
    }
    server_put_text(&sql, " AS SELECT ");
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        if (table_leaves_out(table, i))
            continue;
        server_put_text(&sql, separator);
        server_put_name(&sql, relation->columns[i].name);
        separator = ", ";
    }
    server_put_text(&sql, " FROM ");
    put_source(options, table, &sql);
    return server_statement(server, "create a view of current rows", &sql, err);
}

/* Runs "statement VIEW FORMAT format". The answer ends with a NUL. */
static int
ask(struct server *server, const struct table *table, const char *statement, const char *format,
    struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, statement);
    if (put_view_name(table, &sql, err) != 0) {
        buf_free(&sql);
        return -1;
    }
    server_put_text(&sql, format);
    if (server_query(server, asking, &sql, err) != 0)
        return -1;
    buf_append(&server->answer.body, "", 1);
    return server->answer.body.failed
               ? err_set(err, EXIT_PEER, "could not %s: out of memory", asking)
               : 0;
}

static const char *
answer_text(const struct server *server)
{
    return (const char *)server->answer.body.data + server->answer.body.start;
}

/* ---- does it show the table as it is? ---- */

/* Moves past the next field of TabSeparated at *at, and the tab behind it. Returns true if the
 * field is text. */
static bool
take_field(const char **at, const char *text)
{
    static const char from[] = "btnrf0", to[] = "\b\t\n\r\f";
    bool same = true;

    for (; **at != '\0' && **at != '\t' && **at != '\n'; (*at)++) {
        const char *escape = NULL;
        char c = **at;

        if (c == '\\' && (*at)[1] != '\0') {
            c = *++*at;
            escape = strchr(from, c);
            c = escape == NULL ? c : to[escape - from];
        }
        same = same && *text != '\0' && *text == c;
        text += same;
    }
    *at += **at == '\t';
    return same && *text == '\0';
}

/* lines is the DESCRIBE of the view. Checks that it has each column of the source, with the type
 * that the table has. */
static bool
fits(const char *lines, const struct table *table, const struct described *d)
{
    const struct relation *relation = &table->relation;

    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct described_column *column = described_find(d, relation->columns[i].name);

        if (table_leaves_out(table, i))
            continue;
        if (column == NULL || !take_field(&lines, column->name) ||
            !take_field(&lines, column->type))
            return false;
        lines += strcspn(lines, "\n");
        lines += *lines == '\n';
    }
    return *lines == '\0';
}

/* ---- is it ours? ---- */

/* Moves past a name in backticks or a text in quotes that begins at *at. */
static const char *
past_quoted(const char *at)
{
    char quote = *at++;

    for (; *at != '\0' && *at != quote; at++)
        at += *at == '\\' && at[1] != '\0';
    return at + (*at != '\0');
}

/* The first place behind from where the word is, outside of quotes. NULL if there is none. */
static const char *
find_word(const char *from, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = from; *at != '\0';) {
        if (*at == '`' || *at == '\'') {
            at = past_quoted(at);
            continue;
        }
        if (strncmp(at, word, len) == 0 && at > from && (at[-1] == ' ' || at[-1] == '\n') &&
            (at[len] == ' ' || at[len] == '\n'))
            return at + len;
        at++;
    }
    return NULL;
}

/* Whether the list up to `end` has nothing but names. */
static bool
only_names(const char *at, const char *end)
{
    bool word = false, ended = false;

    while (at < end) {
        bool space = *at == ' ' || *at == '\n', plain;

        if (*at == ',') {
            word = ended = false;
            at++;
            continue;
        }
        plain = *at == '`' || *at == '_' || (*at >= '0' && *at <= '9') ||
                ((*at | 32) >= 'a' && (*at | 32) <= 'z');
        if ((!plain && !space) || (plain && ended))
            return false;
        ended = ended || (word && space);
        word = word || plain;
        at = *at == '`' ? past_quoted(at) : at + 1;
    }
    return true;
}

/* Without spaces, backticks and parentheses, which servers write or leave out. */
static void
put_bare(const char *text, struct buf *out)
{
    for (; *text != '\0'; text++)
        if (strchr(" \n`()", *text) == NULL)
            buf_append(out, text, 1);
    buf_append(out, "", 1);
}

/* statement is CREATE VIEW as the server writes it. Only our view selects nothing but columns of
 * the table FINAL, where they are not deleted. */
static bool
is_ours(const char *statement, const struct options *options, const struct table *table)
{
    struct buf expected = {0}, source = {0}, bare = {0};
    const char *list = find_word(statement, "AS"), *from = NULL;
    bool same = false;

    if (list != NULL)
        list = find_word(list, "SELECT");
    if (list != NULL)
        from = find_word(list, "FROM");
    if (strncmp(statement, "CREATE VIEW", 11) != 0 || from == NULL ||
        !only_names(list, from - strlen("FROM")))
        return false;
    put_source(options, table, &expected);
    buf_append(&expected, "", 1);
    if (!expected.failed) {
        put_bare((const char *)expected.data, &source);
        put_bare(from, &bare);
    }
    if (!expected.failed && !source.failed && !bare.failed)
        same = strcmp((const char *)source.data, (const char *)bare.data) == 0;
    buf_free(&expected);
    buf_free(&source);
    buf_free(&bare);
    return same;
}

static int
drop(struct server *server, const struct table *table, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "DROP TABLE IF EXISTS ");
    if (put_view_name(table, &sql, err) != 0) {
        buf_free(&sql);
        return -1;
    }
    return server_statement(server, "drop the view of current rows", &sql, err);
}

/* After an error. Another worker, which replaces the view, has dropped it since we asked. */
static bool
is_gone(const struct server *server)
{
    enum { UNKNOWN_TABLE = 60, TABLE_IS_DROPPED = 218 };

    return server->answer.code == UNKNOWN_TABLE || server->answer.code == TABLE_IS_DROPPED;
}

int
view_keep(struct server *server, const struct options *options, const struct table *table,
          const struct described *described, struct err *err)
{
    if (ask(server, table, "EXISTS TABLE ", " FORMAT TabSeparated", err) != 0)
        return -1;
    if (answer_text(server)[0] != '1')
        return view_create(server, options, table, err);
    if (ask(server, table, "DESCRIBE TABLE ", " FORMAT TabSeparated", err) != 0)
        return is_gone(server) ? view_create(server, options, table, err) : -1;
    if (fits(answer_text(server), table, described))
        return 0;
    if (ask(server, table, "SHOW CREATE TABLE ", " FORMAT TabSeparatedRaw", err) != 0)
        return is_gone(server) ? view_create(server, options, table, err) : -1;
    if (!is_ours(answer_text(server), options, table)) {
        log_write(server->log, LOG_WARNING,
                  "%s has no view of its current rows: something else has the name %s_current",
                  table->target_sql, table->target.table);
        return 0;
    }
    if (drop(server, table, err) != 0 || view_create(server, options, table, err) != 0)
        return -1;
    log_write(server->log, LOG_INFO, "made the view of current rows of %s anew", table->target_sql);
    return 0;
}
