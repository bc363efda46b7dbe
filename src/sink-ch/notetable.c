/* notetable.c: see notetable.h. */
#include "sink-ch/notetable.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* As for walpipe_progress (journal.c): old servers answer the second CREATE TABLE IF NOT EXISTS
 * with an error while the first is carried out. */
#define MAKE_TRIES       3
#define MAKE_WAIT_MILLIS 200

/* How long a mutation may take. */
#define DROP_TRIES       300
#define DROP_WAIT_MILLIS 100

static const char own_columns[] = "pipeline, sink, system_identifier, ";

static void
put_table(const struct notetable *n, const char *table, struct buf *sql)
{
    server_put_name(sql, n->database);
    server_put_text(sql, ".");
    server_put_text(sql, table);
}

void
notetable_put_number(struct buf *sql, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, number);
    server_put_text(sql, text);
}

static int
try_to_make(const struct notetable *n, const char *table, const char *columns, const char *key,
            struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "CREATE TABLE IF NOT EXISTS ");
    put_table(n, table, &sql);
    server_put_text(&sql, " (pipeline String, sink String, system_identifier UInt64, ");
    server_put_text(&sql, columns);
    server_put_text(&sql, ", version UInt64, updated_at DateTime DEFAULT now()) ENGINE = "
                          "ReplacingMergeTree(version) ORDER BY (pipeline, sink, "
                          "system_identifier, ");
    server_put_text(&sql, key);
    server_put_text(&sql, ")");
    return server_statement(n->server, "create a table for walpipe's notes", &sql, err);
}

int
notetable_make(const struct notetable *n, const char *table, const char *columns, const char *key,
               struct err *err)
{
    int rc = -1;

    for (int i = 0; i < MAKE_TRIES && rc != 0; i++) {
        if (i > 0)
            poll(NULL, 0, MAKE_WAIT_MILLIS);
        rc = try_to_make(n, table, columns, key, err);
        if (rc != 0 && err->code != EXIT_REFUSED)
            return -1;
    }
    if (rc == 0)
        *err = (struct err){0};
    else
        err_hint(err, "grant the sink's user CREATE TABLE, SELECT and INSERT in its database: a "
                      "copy is noted there; or set copy = no");
    return rc;
}

int
notetable_has_column(const struct notetable *n, const char *table, const char *column, bool *has,
                     struct err *err)
{
    struct buf sql = {0};
    const struct buf *answer = &n->server->answer.body;

    server_put_text(&sql, "SELECT count() FROM system.columns WHERE database = ");
    server_put_literal(&sql, n->database);
    server_put_text(&sql, " AND table = ");
    server_put_literal(&sql, table);
    server_put_text(&sql, " AND name = ");
    server_put_literal(&sql, column);
    server_put_text(&sql, " FORMAT TabSeparated");
    if (server_query(n->server, "look at walpipe's notes", &sql, err) != 0)
        return -1;
    *has = buf_len(answer) > 0 && answer->data[answer->start] != '0';
    return 0;
}

static int
add_column(const struct notetable *n, const char *table, const char *column, const char *type,
           struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "ALTER TABLE ");
    put_table(n, table, &sql);
    server_put_text(&sql, " ADD COLUMN ");
    server_put_text(&sql, column);
    server_put_text(&sql, " ");
    server_put_text(&sql, type);
    return server_statement(n->server, "add a column to walpipe's notes", &sql, err);
}

int
notetable_add_column(const struct notetable *n, const char *table, const char *column,
                     const char *type, struct err *err)
{
    struct err refused;
    bool has;

    if (notetable_has_column(n, table, column, &has, err) != 0)
        return -1;
    if (has || add_column(n, table, column, type, err) == 0)
        return 0;
    /* Another worker may have added it meanwhile. */
    refused = *err;
    if (notetable_has_column(n, table, column, &has, err) != 0)
        return -1;
    if (has) {
        *err = (struct err){0};
        return 0;
    }
    *err = refused;
    return err_hint(err, "run as a user who may: ALTER TABLE %s ADD COLUMN %s %s", table, column,
                    type);
}

int
notetable_exists(const struct notetable *n, const char *table, bool *exists, struct err *err)
{
    struct buf sql = {0};
    const struct buf *answer = &n->server->answer.body;

    server_put_text(&sql, "SELECT count() FROM system.tables WHERE database = ");
    server_put_literal(&sql, n->database);
    server_put_text(&sql, " AND name = ");
    server_put_literal(&sql, table);
    server_put_text(&sql, " FORMAT TabSeparated");
    if (server_query(n->server, "look for walpipe's notes", &sql, err) != 0)
        return -1;
    *exists = buf_len(answer) > 0 && answer->data[answer->start] != '0';
    return 0;
}

static void
put_where_sink(const struct notetable *n, const char *sink, struct buf *sql)
{
    server_put_text(sql, " WHERE pipeline = ");
    server_put_literal(sql, n->pipeline);
    server_put_text(sql, " AND sink = ");
    server_put_literal(sql, sink);
}

void
notetable_put_from(const struct notetable *n, const char *table, struct buf *sql)
{
    server_put_text(sql, " FROM ");
    put_table(n, table, sql);
    server_put_text(sql, " FINAL");
    put_where_sink(n, n->hello->sink, sql);
    server_put_text(sql, " AND system_identifier = ");
    notetable_put_number(sql, n->hello->system_identifier);
}

int
notetable_last_source(const struct notetable *n, const char *table, uint64_t *system,
                      struct err *err)
{
    struct buf sql = {0};
    const struct buf *answer = &n->server->answer.body;
    struct cursor c;

    server_put_text(&sql, "SELECT system_identifier FROM ");
    put_table(n, table, &sql);
    put_where_sink(n, n->hello->sink, &sql);
    server_put_text(&sql, " ORDER BY updated_at DESC LIMIT 1 FORMAT RowBinary");
    if (server_query(n->server, "read walpipe's notes", &sql, err) != 0)
        return -1;
    *system = 0;
    c = cursor_over(answer->data + answer->start, buf_len(answer));
    if (c.left > 0 && !notetable_take_number(&c, 8, system))
        return err_set(err, EXIT_REFUSED, "cannot read the rows of %s", table);
    return 0;
}

/* ---- rows ---- */

void
notetable_add(struct buf *rows, struct bytes text)
{
    convert_put_length(rows, text.len);
    buf_append(rows, text.data, text.len);
}

void
notetable_add_cstr(struct buf *rows, const char *text)
{
    notetable_add(rows, (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)});
}

void
notetable_add_number(struct buf *rows, uint64_t number, uint32_t width)
{
    convert_put(rows, number, width);
}

void
notetable_begin_row(const struct notetable *n, struct buf *rows)
{
    notetable_add_cstr(rows, n->pipeline);
    notetable_add_cstr(rows, n->hello->sink);
    notetable_add_number(rows, n->hello->system_identifier, 8);
}

int
notetable_insert(const struct notetable *n, const char *table, const char *columns,
                 struct buf *rows, struct err *err)
{
    struct buf sql = {0};
    struct http_request request = {
        .body = {.data = rows->data + rows->start, .len = buf_len(rows)},
        .expect_empty = true,
    };
    char what[64];
    int rc = -1;

    snprintf(what, sizeof what, "write %s", table);
    server_put_text(&sql, "INSERT INTO ");
    put_table(n, table, &sql);
    server_put_text(&sql, " (");
    server_put_text(&sql, own_columns);
    server_put_text(&sql, columns);
    server_put_text(&sql, ") FORMAT RowBinary");
    buf_append(&sql, "", 1);
    request.query = (const char *)sql.data;
    if (sql.failed || rows->failed)
        err_set(err, EXIT_PEER, "could not %s: out of memory", what);
    else if (request.body.len == 0 || server_request(n->server, what, &request, err) == HTTP_DONE)
        rc = 0;
    buf_free(&sql);
    buf_reset(rows, 1u << 20);
    return rc;
}

bool
notetable_take_number(struct cursor *c, uint32_t width, uint64_t *out)
{
    struct bytes bytes;

    if (!cursor_bytes(c, width, &bytes))
        return false;
    *out = 0;
    while (width-- > 0)
        *out = *out << 8 | bytes.data[width];
    return true;
}

bool
notetable_take_uint32(struct cursor *c, uint32_t *out)
{
    uint64_t n;

    if (!notetable_take_number(c, 4, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

bool
notetable_take_text(struct cursor *c, char *out, size_t size)
{
    struct bytes text;

    if (!server_read_string(c, &text) || text.len >= size)
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

/* ---- the end ---- */

static int
count_rows(const struct notetable *n, const char *table, const char *sink, bool *any,
           struct err *err)
{
    struct buf sql = {0};
    const struct buf *answer = &n->server->answer.body;

    server_put_text(&sql, "SELECT count() FROM ");
    put_table(n, table, &sql);
    put_where_sink(n, sink, &sql);
    server_put_text(&sql, " FORMAT TabSeparated");
    if (server_query(n->server, "read walpipe's notes", &sql, err) != 0)
        return -1;
    *any = buf_len(answer) == 0 || answer->data[answer->start] != '0';
    return 0;
}

static int
delete_rows(const struct notetable *n, const char *table, const char *sink, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "ALTER TABLE ");
    put_table(n, table, &sql);
    server_put_text(&sql, " DELETE");
    put_where_sink(n, sink, &sql);
    return server_statement(n->server, "delete walpipe's notes", &sql, err);
}

int
notetable_drop(const struct notetable *n, const char *table, const char *sink, struct err *err)
{
    bool any;

    if (notetable_exists(n, table, &any, err) != 0 ||
        (any && count_rows(n, table, sink, &any, err) != 0) ||
        (any && delete_rows(n, table, sink, err) != 0))
        return -1;
    for (int i = 0; any && i < DROP_TRIES; i++) { /* it is carried out in the background */
        poll(NULL, 0, DROP_WAIT_MILLIS);
        if (count_rows(n, table, sink, &any, err) != 0)
            return -1;
    }
    if (!any)
        return 0;
    err_set(err, EXIT_PEER, "could not delete from %s: the rows are still there", table);
    return err_hint(
        err,
        "the reason is in the table system.mutations of ClickHouse: correct it, and try again");
}
