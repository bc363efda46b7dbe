/* front.c: a ClickHouse of today for tests: libchdb (the engine as a C library, from npm) behind as
 * much of the server's HTTP interface as sink-ch uses.
 *
 *   chdb-front LIBCHDB.SO DATA_DIR PORT
 *
 * POST or GET /?query=...&database=...&setting=value with the rest of an INSERT as the body; /ping.
 * The body goes through a file (INSERT ... FROM INFILE), since inline binary data would end at an
 * empty line. External data, NAME of a form with NAME_structure in the URL, becomes a temporary table. An unknown
 * setting, an exception's code in a header and its HTTP status are as the server's
 * (src/Server/HTTPHandler.cpp: exceptionCodeToHTTPStatus). Passwords are not checked. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/buf.h"

struct engine {
    void **(*connect)(int, char **);
    void *(*query)(void *, const char *, const char *);
    char *(*buffer)(void *);
    size_t (*length)(void *);
    const char *(*error)(void *);
    void (*destroy)(void *);
    void **connection;
};

static struct engine engine;
static const char *data_dir;

struct request {
    struct buf body;
};

/* ---- the engine ---- */

static void *
symbol(void *library, const char *name)
{
    void *address = dlsym(library, name);

    if (address == NULL) {
        fprintf(stderr, "chdb-front: %s is missing: %s\n", name, dlerror());
        exit(1);
    }
    return address;
}

static void
load_engine(const char *path)
{
    char arg0[] = "clickhouse", dir[4096];
    char *argv[] = {arg0, dir};
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        fprintf(stderr, "chdb-front: %s\n", dlerror());
        exit(1);
    }
    *(void **)&engine.connect = symbol(library, "chdb_connect");
    *(void **)&engine.query = symbol(library, "chdb_query");
    *(void **)&engine.buffer = symbol(library, "chdb_result_buffer");
    *(void **)&engine.length = symbol(library, "chdb_result_length");
    *(void **)&engine.error = symbol(library, "chdb_result_error");
    *(void **)&engine.destroy = symbol(library, "chdb_destroy_query_result");
    snprintf(dir, sizeof dir, "--path=%s", data_dir);
    engine.connection = engine.connect(2, argv);
    if (engine.connection == NULL) {
        fprintf(stderr, "chdb-front: could not open %s\n", data_dir);
        exit(1);
    }
}

/* ---- answers ---- */

static unsigned
http_status(int code)
{
    switch (code) {
    case 62: /* SYNTAX_ERROR */
    case 27: /* CANNOT_PARSE_INPUT */
    case 33: /* CANNOT_READ_ALL_DATA */
    case 53: /* TYPE_MISMATCH */
    case 44: /* ILLEGAL_COLUMN */
        return 400;
    case 60:  /* UNKNOWN_TABLE */
    case 81:  /* UNKNOWN_DATABASE */
    case 115: /* UNKNOWN_SETTING */
    case 16:  /* NO_SUCH_COLUMN_IN_TABLE */
    case 47:  /* UNKNOWN_IDENTIFIER */
        return 404;
    default:
        return 500;
    }
}

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, int code, const char *text, size_t len)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    char number[16];
    enum MHD_Result result;

    if (code != 0) {
        snprintf(number, sizeof number, "%d", code);
        MHD_add_response_header(r, "X-ClickHouse-Exception-Code", number);
    }
    result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

/* Runs sql; true when it went well. Otherwise the exception is answered. */
static bool
run(struct MHD_Connection *c, const char *sql, bool last, enum MHD_Result *result)
{
    const char *format = "TabSeparated";
    void *r = engine.query(*engine.connection, sql, format);
    const char *error = engine.error(r);
    int code = 0;

    if (error != NULL && error[0] != '\0') {
        const char *at = strstr(error, "Code: ");

        if (at != NULL)
            code = (int)strtol(at + 6, NULL, 10);
        *result = answer(c, http_status(code), code, error, strlen(error));
        engine.destroy(r);
        return false;
    }
    if (last)
        *result = answer(c, 200, 0, engine.buffer(r), engine.length(r));
    engine.destroy(r);
    return true;
}

/* ---- requests ---- */

/* The last setting of the engine: to send it again takes as long as a small insert. */
static struct {
    char key[64], value[256];
} told[32];

/* The place of the key, with the value; NULL: it has that value already. */
static char *
place_of(const char *key, const char *value)
{
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        if (told[i].key[0] != '\0' && strcmp(told[i].key, key) != 0)
            continue;
        if (told[i].key[0] != '\0' && strcmp(told[i].value, value) == 0)
            return NULL;
        snprintf(told[i].key, sizeof told[i].key, "%s", key);
        return told[i].value;
    }
    fprintf(stderr, "chdb-front: too many settings\n");
    exit(1);
}

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

static bool
is_about_table(const char *key)
{
    return ends_with(key, "_structure") || ends_with(key, "_format");
}

struct external {
    char name[64];
    const char *structure; /* NULL: the request has none */
};

static enum MHD_Result
find_external(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct external *external = arg;

    (void)kind;
    if (!ends_with(key, "_structure"))
        return MHD_YES;
    snprintf(external->name, sizeof external->name, "%.*s",
             (int)(strlen(key) - strlen("_structure")), key);
    external->structure = value;
    return MHD_NO;
}

struct setting_walk {
    struct MHD_Connection *c;
    enum MHD_Result result;
    bool failed;
};

static enum MHD_Result
apply_setting(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    static const char *const not_settings[] = {
        "query", "database", "query_id",    "default_format",
        "user",  "password", "buffer_size", "wait_end_of_query"};
    struct setting_walk *walk = arg;
    char sql[512], *place;

    (void)kind;
    for (size_t i = 0; i < sizeof not_settings / sizeof *not_settings; i++)
        if (strcmp(key, not_settings[i]) == 0 || is_about_table(key))
            return MHD_YES;
    value = value == NULL ? "" : value;
    place = place_of(key, value);
    if (place == NULL)
        return MHD_YES;
    place[0] = '\0';
    snprintf(sql, sizeof sql, "SET %s = '%s'", key, value);
    if (run(walk->c, sql, false, &walk->result)) {
        snprintf(place, sizeof told[0].value, "%s", value);
        return MHD_YES;
    }
    walk->failed = true;
    return MHD_NO;
}

/* "INSERT INTO t (a, b) FORMAT RowBinary" becomes "... FROM INFILE 'path' FORMAT RowBinary". */
static char *
from_file(const char *query, const char *path)
{
    const char *format = NULL;
    size_t size = strlen(query) + strlen(path) + 64;
    char *sql = malloc(size);

    if (sql == NULL)
        abort();
    for (const char *p = query; *p != '\0'; p++)
        if (strncasecmp(p, " FORMAT ", 8) == 0)
            format = p;
    if (format == NULL)
        format = query + strcspn(query, "\n");
    snprintf(sql, size, "%.*s FROM INFILE '%s' COMPRESSION 'none'%s", (int)(format - query), query,
             path, format);
    return sql;
}

static bool
write_file(const char *path, const struct buf *body, size_t skip)
{
    FILE *f = fopen(path, "we");
    size_t len = buf_len(body) - skip;
    bool ok = f != NULL && fwrite(body->data + body->start + skip, 1, len, f) == len;

    if (f != NULL && fclose(f) != 0)
        ok = false;
    return ok;
}

/* Bytes of the body that are the query: all of it, but of "INSERT ... FORMAT x" the first line. */
static size_t
query_in_body(const struct buf *body)
{
    const char *start = (const char *)body->data + body->start;
    size_t len = buf_len(body);
    const char *newline = len == 0 ? NULL : memchr(start, '\n', len);
    size_t line = newline == NULL ? 0 : (size_t)(newline - start) + 1;

    if (line > 6 && strncasecmp(start, "INSERT", 6) == 0 &&
        memmem(start, line, " FORMAT ", 8) != NULL)
        return line;
    return len;
}

/* The only part of a multipart/form-data body. */
static bool
only_part(const struct buf *body, struct buf *part)
{
    const char *start = (const char *)body->data + body->start, *data, *line;
    size_t len = buf_len(body);

    line = len == 0 ? NULL : memmem(start, len, "\r\n", 2);
    data = len == 0 ? NULL : memmem(start, len, "\r\n\r\n", 4);
    if (line == NULL || data == NULL)
        return false;
    data += 4;
    for (size_t boundary = (size_t)(line - start), end = len; end-- > 0;)
        if (start + end >= data && end + 2 + boundary <= len &&
            memcmp(start + end, "\r\n", 2) == 0 && memcmp(start + end + 2, start, boundary) == 0) {
            buf_append(part, data, (size_t)(start + end - data));
            return !part->failed;
        }
    return false;
}

/* False when *result holds the answer already. */
static bool
make_table(struct MHD_Connection *c, const struct external *external, const struct buf *body,
           enum MHD_Result *result)
{
    char create[2300], path[4200], insert[4400], drop[128];
    struct buf part = {0};
    bool ok;

    snprintf(create, sizeof create, "CREATE TEMPORARY TABLE %s (%s)", external->name,
             external->structure);
    snprintf(drop, sizeof drop, "DROP TEMPORARY TABLE IF EXISTS %s", external->name);
    snprintf(path, sizeof path, "%s/keys", data_dir);
    snprintf(insert, sizeof insert,
             "INSERT INTO %s FROM INFILE '%s' COMPRESSION 'none' FORMAT RowBinary", external->name,
             path);
    ok = only_part(body, &part) && write_file(path, &part, 0);
    if (!ok)
        *result = answer(c, 500, 0, "could not take the form", 23);
    buf_free(&part);
    return ok && run(c, drop, false, result) &&
           run(c, create, false, result) && run(c, insert, false, result);
}

static enum MHD_Result
serve(struct MHD_Connection *c, struct request *request)
{
    const char *query = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "query");
    struct external external = {.structure = NULL};
    const char *database = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "database");
    struct setting_walk walk = {.c = c};
    static char used[256]; /* the engine's database now */
    char path[4200], use[300];
    char *text = NULL, *sql = NULL;
    size_t skip = 0;

    if (database != NULL && strcmp(used, database) != 0) {
        used[0] = '\0';
        snprintf(use, sizeof use, "USE `%s`", database);
        if (!run(c, use, false, &walk.result))
            return walk.result;
        snprintf(used, sizeof used, "%s", database);
    }
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, apply_setting, &walk);
    if (walk.failed)
        return walk.result;
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, find_external, &external);
    if (query != NULL && external.structure != NULL) {
        if (make_table(c, &external, &request->body, &walk.result))
            run(c, query, true, &walk.result);
        return walk.result;
    }
    if (query == NULL) {
        skip = query_in_body(&request->body);
        text = strndup((const char *)request->body.data + request->body.start, skip);
        query = text;
    }
    if (buf_len(&request->body) > skip) {
        snprintf(path, sizeof path, "%s/body", data_dir);
        if (!write_file(path, &request->body, skip))
            return answer(c, 500, 0, "could not write the body", 24);
        sql = from_file(query, path);
        query = sql;
    }
    if (strncasecmp(query, "SET ", 4) == 0) /* the test's own: a profile */
        memset(told, 0, sizeof told);
    run(c, query, true, &walk.result);
    free(text);
    free(sql);
    return walk.result;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
           const char *version, const char *data, size_t *size, void **state)
{
    struct request *request = *state;

    (void)arg;
    (void)method;
    (void)version;
    if (request == NULL) {
        *state = calloc(1, sizeof *request);
        return *state == NULL ? MHD_NO : MHD_YES;
    }
    if (*size > 0) {
        buf_append(&request->body, data, *size);
        *size = 0;
        return request->body.failed ? MHD_NO : MHD_YES;
    }
    if (strcmp(url, "/ping") == 0)
        return answer(c, 200, 0, "Ok.\n", 4);
    return serve(c, request);
}

static void
on_done(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    struct request *request = *state;

    (void)arg;
    (void)c;
    (void)why;
    if (request != NULL)
        buf_free(&request->body);
    free(request);
    *state = NULL;
}

int
main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *daemon;
    sigset_t stop;
    int signo;

    if (argc != 4) {
        fprintf(stderr, "usage: chdb-front LIBCHDB.SO DATA_DIR PORT\n");
        return 100;
    }
    data_dir = argv[2];
    load_engine(argv[1]);
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    address.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, NULL,
                         MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)1 << 21, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "chdb-front: could not listen on port %s\n", argv[3]);
        return 111;
    }
    sigwait(&stop, &signo);
    MHD_stop_daemon(daemon);
    _exit(0); /* the engine's own exit handlers take seconds */
}
