/* server.c: see server.h. */
#include "sink-ch/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink-ch/settings.h"

/* ---- SQL text ---- */

void
server_put_text(struct buf *sql, const char *text)
{
    buf_append(sql, text, strlen(text));
}

static void
put_quoted(struct buf *sql, const char *text, char quote)
{
    buf_append(sql, &quote, 1);
    for (; *text != '\0'; text++) {
        if (*text == quote || *text == '\\')
            buf_append(sql, "\\", 1);
        buf_append(sql, text, 1);
    }
    buf_append(sql, &quote, 1);
}

void
server_put_name(struct buf *sql, const char *name)
{
    put_quoted(sql, name, '`');
}

void
server_put_literal(struct buf *sql, const char *text)
{
    put_quoted(sql, text, '\'');
}

bool
server_read_string(struct cursor *c, struct bytes *out)
{
    uint64_t len;

    return chtype_read_length(c, &len) && len <= c->left && cursor_bytes(c, (size_t)len, out);
}

/* ---- waiting for a server that is down ---- */

static int
say_up(struct server *server, struct err *err)
{
    return server->intake == NULL ? 0 : intake_target_up(server->intake, err);
}

static int
wait_for_server(struct server *server, const char *what, struct err *err)
{
    struct err why;

    err_set(&why, EXIT_PEER, "could not %s: %s", what, server->answer.message);
    if (intake_target_down(server->intake, why.message, err) != 0)
        return -1;
    return intake_wait(server->intake, err);
}

/* Unknown user, wrong password, password required, authentication failed (ErrorCodes.cpp). */
static bool
is_login_code(uint64_t code)
{
    return code == 192 || code == 193 || code == 194 || code == 516;
}

static int
refuse_login(const struct server *server, struct err *err)
{
    if (!loginnote_forgives(&server->login, err))
        err_hint(err, "correct user, password or password_file, or the user in ClickHouse");
    return -1;
}

static int
refuse(const struct server *server, const char *what, struct err *err)
{
    if (server->answer.code != 0) {
        err_set(err, EXIT_REFUSED, "could not %s: ClickHouse says: %s (code %" PRIu64 ")", what,
                server->answer.message, server->answer.code);
        snprintf(err->sqlstate, sizeof err->sqlstate, "%u",
                 (unsigned)(server->answer.code % 100000));
        return is_login_code(server->answer.code) ? refuse_login(server, err) : -1;
    }
    err_set(err, EXIT_REFUSED, "could not %s: %s", what, server->answer.message);
    snprintf(err->sqlstate, sizeof err->sqlstate, "0");
    return err_hint(err, "%s", server->answer.hint == NULL ? "" : server->answer.hint);
}

enum http_outcome
server_request(struct server *server, const char *what, const struct http_request *request,
               struct err *err)
{
    for (;;) {
        enum http_outcome outcome = http_post(server->http, request, &server->answer);

        if (outcome == HTTP_DONE) {
            loginnote_worked(&server->login);
            return say_up(server, err) == 0 ? HTTP_DONE : HTTP_GONE;
        }
        if (outcome == HTTP_GONE) {
            ackconn_gone_error(err);
            return HTTP_GONE;
        }
        if (outcome != HTTP_RETRY || server->intake == NULL) {
            refuse(server, what, err);
            if (outcome != HTTP_RETRY)
                return outcome;
            err->code = EXIT_PEER; /* it may be back later */
            return HTTP_STOP;
        }
        if (wait_for_server(server, what, err) != 0)
            return HTTP_GONE;
        if (request->once)
            return HTTP_RETRY;
    }
}

static int
run(struct server *server, const char *what, const char *sql, bool expect_empty, struct err *err)
{
    struct http_request request = {
        .body = {.data = (const uint8_t *)sql, .len = strlen(sql)},
        .expect_empty = expect_empty,
    };

    return server_request(server, what, &request, err) == HTTP_DONE ? 0 : -1;
}

static int
run_text(struct server *server, const char *what, struct buf *sql, bool expect_empty,
         struct err *err)
{
    int rc;

    buf_append(sql, "", 1);
    rc = sql->failed ? err_set(err, EXIT_PEER, "could not %s: out of memory", what)
                     : run(server, what, (const char *)sql->data, expect_empty, err);
    buf_free(sql);
    return rc;
}

int
server_query(struct server *server, const char *what, struct buf *sql, struct err *err)
{
    return run_text(server, what, sql, false, err);
}

int
server_statement(struct server *server, const char *what, struct buf *sql, struct err *err)
{
    if (server->statements != NULL) {
        fwrite(sql->data + sql->start, 1, buf_len(sql), server->statements);
        fputs(";\n\n", server->statements);
        buf_free(sql);
        return 0;
    }
    return run_text(server, what, sql, true, err);
}

/* ---- features of the server ---- */

static struct cursor
answer_cursor(const struct server *server)
{
    return cursor_over(server->answer.body.data, buf_len(&server->answer.body));
}

static int
malformed(const char *what, struct err *err)
{
    return err_set(err, EXIT_PEER, "could not %s: the answer has another form than expected", what);
}

static bool
bytes_are(struct bytes b, const char *text)
{
    return b.len == strlen(text) && memcmp(b.data, text, b.len) == 0;
}

/* A profile may have the query cache on, which refuses results that it cannot keep. */
static int
ask_version(struct server *server, const char *what, struct err *err)
{
    static const char query[] = "SELECT version() FORMAT RowBinary";

    if (run(server, what, query, false, err) == 0)
        return 0;
    if (server->answer.code != 704 && server->answer.code != 719)
        return -1;
    *err = (struct err){0};
    server->no_query_cache = true;
    if (http_set_settings(server->http, SETTINGS_NO_QUERY_CACHE, err) != 0)
        return -1;
    return run(server, what, query, false, err);
}

static int
probe_version(struct server *server, struct err *err)
{
    static const char what[] = "ask ClickHouse for its version";
    struct cursor c;
    struct bytes version;
    unsigned major = 0, minor = 0;

    if (ask_version(server, what, err) != 0)
        return -1;
    c = answer_cursor(server);
    if (!server_read_string(&c, &version) || c.left != 0 || version.len >= sizeof server->version)
        return malformed(what, err);
    memcpy(server->version, version.data, version.len);
    server->version[version.len] = '\0';
    if (sscanf(server->version, "%u.%u", &major, &minor) != 2)
        return malformed(what, err);
    server->has_is_deleted = major > 23 || (major == 23 && minor >= 2);
    server->revives = major < 20 || (major == 20 && minor <= 3);
    server->has_wide_dates = major > 22 || (major == 22 && minor >= 8);
    return 0;
}

static int
probe_types(struct server *server, struct err *err)
{
    static const char what[] = "ask ClickHouse for its types";
    const struct {
        const char *name;
        bool *has;
    } types[] = {{"UInt128", &server->has_uint128},
                 {"Bool", &server->has_bool},
                 {"Date32", &server->has_date32},
                 {"DateTime64", &server->has_datetime64},
                 {"Decimal256", &server->has_decimal256}};
    struct cursor c;
    struct bytes name;

    if (run(server, what,
            "SELECT name FROM system.data_type_families WHERE name IN ('UInt128', 'Bool', "
            "'Date32', 'DateTime64', 'Decimal256') FORMAT RowBinary",
            false, err) != 0)
        return -1;
    for (c = answer_cursor(server); c.left > 0;) {
        if (!server_read_string(&c, &name))
            return malformed(what, err);
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (bytes_are(name, types[i].name))
                *types[i].has = true;
    }
    /* The same releases gave Date32 and longer date tables. */
    server->limits = !server->has_date32      ? &convert_limits_old
                     : server->has_wide_dates ? &convert_limits_modern
                                              : &convert_limits_middle;
    return 0;
}

static void
learn_setting(struct server *server, struct bytes name, struct bytes value)
{
    char text[24] = "";

    if (bytes_are(name, SETTINGS_JSON))
        server->has_json = true;
    if (bytes_are(name, SETTINGS_TOKEN))
        server->has_token = true;
    if (bytes_are(name, SETTINGS_HEADER))
        server->has_header = true;
    if (bytes_are(name, SETTINGS_BLOCK)) {
        memcpy(text, value.data, value.len < sizeof text ? value.len : sizeof text - 1);
        server->max_insert_rows = strtoull(text, NULL, 10);
    }
}

static int
ask_settings(struct server *server, const char *what, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "SELECT name, value FROM system.settings WHERE name IN ('" SETTINGS_BLOCK
                          "', '" SETTINGS_TOKEN "'");
    settings_put_names(&sql);
    server_put_text(&sql, ") FORMAT RowBinary");
    return server_query(server, what, &sql, err);
}

static int
probe_settings(struct server *server, struct err *err)
{
    static const char what[] = "ask ClickHouse for its settings";
    struct buf settings = {0};
    struct bytes name, value;
    struct cursor c;
    int rc = -1;

    if (ask_settings(server, what, err) != 0)
        return -1;
    if (server->no_query_cache) /* it does not change the settings that the server reports */
        server_put_text(&settings, SETTINGS_NO_QUERY_CACHE);
    for (c = answer_cursor(server); c.left > 0;) {
        if (!server_read_string(&c, &name) || !server_read_string(&c, &value)) {
            malformed(what, err);
            goto out;
        }
        learn_setting(server, name, value);
        settings_want(name, value, &settings);
    }
    /* Equal inserts of a table without a key are different rows. With a token the server tells them
     * from a repeated insert (send.c). */
    if (!server->has_token)
        server_put_text(&settings, "&insert_deduplicate=0");
    if (server->max_insert_rows == 0)
        server->max_insert_rows = 65536; /* it has been larger in every release */
    buf_append(&settings, "", 1);
    if (settings.failed)
        err_set(err, EXIT_PEER, "out of memory for settings");
    else
        rc = http_set_settings(server->http, (const char *)settings.data, err);
out:
    buf_free(&settings);
    return rc;
}

static int
probe_database(struct server *server, const char *database, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "SELECT name FROM system.databases WHERE name = ");
    server_put_literal(&sql, database);
    if (server_query(server, "look for the database", &sql, err) != 0)
        return -1;
    if (buf_len(&server->answer.body) > 0)
        return 0;
    err_set(err, EXIT_REFUSED, "database \"%s\" does not exist in ClickHouse", database);
    return err_hint(err, "CREATE DATABASE %s, or correct the name of the database", database);
}

int
server_probe(struct server *server, const char *database, struct err *err)
{
    if (probe_version(server, err) != 0 || probe_types(server, err) != 0 ||
        probe_settings(server, err) != 0)
        return -1;
    return probe_database(server, database, err);
}

void
server_free(struct server *server)
{
    http_free(server->http);
    buf_free(&server->answer.body);
}
