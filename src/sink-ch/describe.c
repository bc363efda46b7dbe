/* describe.c: see describe.h. Answers are RowBinary.
 *
 * Only cheap columns of system.tables are queried. Old servers (18.16) make that table's rows for
 * all tables of the database, and for engine_full read a file for each. With 10,000 tables, each of
 * which is queried once, that would take a day. */
#include "sink-ch/describe.h"

#include <stdlib.h>

void
described_free(struct described *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->columns[i].name);
        free(d->columns[i].type);
        free(d->columns[i].kind);
    }
    free(d->columns);
    free(d->engine);
    free(d->engine_full);
    free(d->sorting_key);
    *d = (struct described){0};
}

const struct described_column *
described_find(const struct described *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->columns[i].name, name) == 0)
            return &d->columns[i];
    return NULL;
}

bool
described_has(const struct buf *answer, const char *name)
{
    struct cursor c = cursor_over(answer->data + answer->start, buf_len(answer));
    struct bytes column, type, kind;
    uint8_t flag;

    while (c.left > 0) {
        if (!server_read_string(&c, &column) || !server_read_string(&c, &type) ||
            !server_read_string(&c, &kind) || !cursor_u8(&c, &flag))
            return false;
        if (column.len == strlen(name) && memcmp(column.data, name, column.len) == 0)
            return true;
    }
    return false;
}

/* ---- asking ---- */

static const char asking[] = "read the description of a table";

static int
malformed(struct err *err)
{
    return err_set(err, EXIT_PEER, "could not %s: the answer has another form than expected",
                   asking);
}

static bool
take_string(struct cursor *c, char **out)
{
    struct bytes s;

    *out = NULL;
    if (!server_read_string(c, &s) || (s.len > 0 && memchr(s.data, 0, s.len) != NULL))
        return false;
    *out = strndup(s.len > 0 ? (const char *)s.data : "", s.len);
    return *out != NULL;
}

static int
ask(struct server *server, const struct table *table, const char *select, const char *name_column,
    struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, select);
    server_put_text(&sql, " WHERE database = ");
    server_put_literal(&sql, table->target.database);
    server_put_text(&sql, " AND ");
    server_put_text(&sql, name_column);
    server_put_text(&sql, " = ");
    server_put_literal(&sql, table->target.table);
    server_put_text(&sql, " FORMAT RowBinary");
    return server_query(server, asking, &sql, err);
}

static struct cursor
answer_cursor(const struct server *server)
{
    return cursor_over(server->answer.body.data, buf_len(&server->answer.body));
}

/* ClickHouse 26 reports "(id)" for ORDER BY (id), and "id" for ORDER BY id. */
void
describe_strip_parentheses(char *key)
{
    size_t n = strlen(key);
    bool quoted = false;
    int depth = 0;

    if (n < 2 || key[0] != '(')
        return;
    for (size_t i = 0; i + 1 < n; i++) {
        if (quoted && key[i] == '\\')
            i++;
        else if (key[i] == '`')
            quoted = !quoted;
        else if (!quoted)
            depth += (key[i] == '(') - (key[i] == ')');
        if (depth == 0)
            return; /* the first one closes before the end, as in (a + 1), b */
    }
    memmove(key, key + 1, n - 2);
    key[n - 2] = '\0';
}

/* EXISTS or SHOW CREATE of the table's target. */
static int
ask_statement(struct server *server, const struct table *table, const char *statement,
              struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, statement);
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " FORMAT RowBinary");
    return server_query(server, asking, &sql, err);
}

/* Returns 1, 0 or -1 with err. */
static int
exists(struct server *server, const struct table *table, struct err *err)
{
    struct cursor c;
    uint8_t answer;

    if (ask_statement(server, table, "EXISTS TABLE ", err) != 0)
        return -1;
    c = answer_cursor(server);
    if (!cursor_u8(&c, &answer) || c.left != 0)
        return malformed(err);
    return answer != 0;
}

/* The text behind the word, outside of quotes, in a CREATE TABLE as ClickHouse writes it. "" if the
 * word is not there. */
static const char *
find_behind(const char *create, const char *word)
{
    char quote = '\0';

    for (const char *at = create; *at != '\0'; at++) {
        if (quote != '\0' && *at == '\\' && at[1] != '\0')
            at++;
        else if (quote != '\0')
            quote = *at == quote ? '\0' : quote;
        else if (*at == '\'' || *at == '`')
            quote = *at;
        else if (strncmp(at, word, strlen(word)) == 0)
            return at + strlen(word);
    }
    return "";
}

/* Reads engine_full from system.tables. */
static int
ask_engine(struct server *server, const struct table *table, struct described *d, struct err *err)
{
    struct cursor c;
    char *create;

    if (ask_statement(server, table, "SHOW CREATE TABLE ", err) != 0)
        return -1;
    c = answer_cursor(server);
    if (!take_string(&c, &create) || c.left != 0) {
        free(create);
        return malformed(err);
    }
    d->engine_full = strdup(find_behind(create, "ENGINE = "));
    free(create);
    return d->engine_full == NULL ? err_set(err, EXIT_PEER, "out of memory for a table") : 0;
}

char *
describe_partition_by(const struct described *d)
{
    static const char *const next[] = {"PRIMARY KEY ", "ORDER BY ", "SAMPLE BY ", "SETTINGS "};
    const char *from = find_behind(d->engine_full, "PARTITION BY ");
    size_t len = strlen(from);

    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        const char *behind = find_behind(from, next[i]);

        if (*behind != '\0' && (size_t)(behind - from) - strlen(next[i]) < len)
            len = (size_t)(behind - from) - strlen(next[i]);
    }
    while (len > 0 && strchr(" \n", from[len - 1]) != NULL)
        len--;
    return strndup(from, len);
}

int
describe_table(struct server *server, const struct table *table, struct described *d,
               struct err *err)
{
    int there = exists(server, table, err);
    struct cursor c;

    if (there != 1)
        return there < 0 ? -1 : 1;
    if (ask(server, table, "SELECT engine, sorting_key FROM system.tables", "name", err) != 0)
        return -1;
    c = answer_cursor(server);
    if (c.left == 0)
        return 1;
    if (!take_string(&c, &d->engine) || !take_string(&c, &d->sorting_key) || c.left != 0)
        return malformed(err);
    describe_strip_parentheses(d->sorting_key);
    return ask_engine(server, table, d, err);
}

int
describe_ask_columns(struct server *server, const struct table *table, struct err *err)
{
    return ask(server, table,
               "SELECT name, type, default_kind, is_in_partition_key FROM system.columns", "table",
               err);
}

int
describe_columns(struct server *server, const struct table *table, struct described *d,
                 struct err *err)
{
    struct cursor c;

    if (describe_ask_columns(server, table, err) != 0)
        return -1;
    for (c = answer_cursor(server); c.left > 0;) {
        struct described_column column = {0};
        struct described_column *more = realloc(d->columns, (d->count + 1) * sizeof *more);
        uint8_t in_partition_key = 0;
        bool read;

        if (more == NULL)
            return err_set(err, EXIT_PEER, "out of memory for a table");
        d->columns = more;
        read = take_string(&c, &column.name) && take_string(&c, &column.type) &&
               take_string(&c, &column.kind) && cursor_u8(&c, &in_partition_key);
        column.in_partition_key = in_partition_key != 0;
        d->columns[d->count++] = column;
        if (!read)
            return malformed(err);
    }
    return 0;
}
