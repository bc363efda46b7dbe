/* values.c: see values.h. */
#include "walpipe/values.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/opt.h"
#include "lib/pqx.h"
#include "lib/statedir.h"
#include "lib/tablefilter.h"
#include "lib/tablemap.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char digits[] = "0123456789";

/* Every refusal has the same message. The hint has the expected form. */
static int
refuse(struct err *err, const char *expected)
{
    err_set(err, EXIT_REFUSED, "malformed value");
    return err_hint(err, "expected %s", expected);
}

int
values_text(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    if (value[0] == '\0') {
        err_set(err, EXIT_REFUSED, "missing value");
        return err_hint(err, "expected KEY = VALUE");
    }
    *(const char **)out = value;
    return 0;
}

bool
values_is_name(const char *value, bool dash, size_t max)
{
    size_t len = strlen(value);

    for (size_t i = 0; i < len; i++)
        if (strchr(letters, value[i]) == NULL && strchr(digits, value[i]) == NULL &&
            value[i] != '_' && !(dash && value[i] == '-'))
            return false;
    return len > 0 && len <= max;
}

int
values_name(const char *value, void *out, struct pool *pool, struct err *err)
{
    if (!values_is_name(value, false, NAME_MAX_BYTES))
        return refuse(err, "letters, digits and _, at most 63");
    return values_text(value, out, pool, err);
}

int
values_slot(const char *value, void *out, struct pool *pool, struct err *err)
{
    if (strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(value) ||
        strlen(value) > NAME_MAX_BYTES)
        return refuse(err, "lower case letters, digits and _, at most 63, as the server does");
    return values_text(value, out, pool, err);
}

int
values_directory(const char *value, void *out, struct pool *pool, struct err *err)
{
    size_t most = SOCKET_PATH_MAX - strlen("/" STATEDIR_SOCKET);

    if (value[0] != '/')
        return refuse(err, "an absolute path, as /var/lib/walpipe/NAME");
    if (strlen(value) > most) {
        err_set(err, EXIT_REFUSED, "path has %zu bytes, too long for the sockets in it",
                strlen(value));
        return err_hint(err, "expected at most %zu bytes: a socket's path may have %d", most,
                        SOCKET_PATH_MAX);
    }
    return values_text(value, out, pool, err);
}

/* "1.2.3.4", "[::1]" or "localhost". */
static bool
is_address(const char *text, size_t len)
{
    unsigned char binary[sizeof(struct in6_addr)];
    char host[64];

    if (len == 0 || len >= sizeof host)
        return false;
    if (text[0] == '[' && text[len - 1] == ']') {
        memcpy(host, text + 1, len - 2);
        host[len - 2] = '\0';
        return inet_pton(AF_INET6, host, binary) == 1;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    return inet_pton(AF_INET, host, binary) == 1 || strcmp(host, "localhost") == 0;
}

int
values_http(const char *value, void *out, struct pool *pool, struct err *err)
{
    const char *colon = strrchr(value, ':');
    struct err ignored;
    uint64_t port;

    if (value[0] == '\0') {
        *(const char **)out = NULL;
        return 0;
    }
    if (colon == NULL || !is_address(value, (size_t)(colon - value)) ||
        opt_number("port", colon + 1, 1, 65535, &port, &ignored) != 0)
        return refuse(err, "ADDRESS:PORT, as 127.0.0.1:9187 or [::1]:9187, or nothing for \"off\"");
    return values_text(value, out, pool, err);
}

int
values_url(const char *value, void *out, struct pool *pool, struct err *err)
{
    const char *host = strncmp(value, "http://", 7) == 0    ? value + 7
                       : strncmp(value, "https://", 8) == 0 ? value + 8
                                                            : NULL;

    if (host == NULL || host[0] == '\0' || host[0] == '/' || strpbrk(value, " \t") != NULL)
        return refuse(err, "http://HOST:PORT or https://HOST:PORT");
    if (memchr(host, '@', strcspn(host, "/?#")) != NULL)
        return refuse(err, "no user or password in the url: use the keys user and password_file");
    return values_text(value, out, pool, err);
}

int
values_publication(const char *value, void *out, struct pool *pool, struct err *err)
{
    char name[NAME_MAX_BYTES + 1];
    const char *at = value;
    size_t count = 0;

    while (at != NULL) {
        if (count++ == PUBLICATIONS_MAX)
            return err_set(err, EXIT_REFUSED, "more than %d publications", PUBLICATIONS_MAX);
        if (names_next(&at, name, err) != 0)
            return -1;
    }
    return values_text(value, out, pool, err);
}

int
values_tables(const char *value, void *out, struct pool *pool, struct err *err)
{
    struct tablefilter filter = {0};
    int rc = tablefilter_add(&filter, value, err);

    tablefilter_free(&filter);
    return rc != 0 ? -1 : values_text(value, out, pool, err);
}

static int
check_map(const char *value, enum tablemap_target target, struct err *err)
{
    struct tablemap map = {0};
    int rc = tablemap_add(&map, value, target, err);

    tablemap_free(&map);
    return rc;
}

int
values_map_pg(const char *value, void *out, struct pool *pool, struct err *err)
{
    return check_map(value, TABLEMAP_QUALIFIED, err) != 0 ? -1 : values_text(value, out, pool, err);
}

int
values_map_ch(const char *value, void *out, struct pool *pool, struct err *err)
{
    return check_map(value, TABLEMAP_ANY, err) != 0 ? -1 : values_text(value, out, pool, err);
}

int
values_shard_key(const char *value, void *out, struct pool *pool, struct err *err)
{
    bool column = strncmp(value, "column:", 7) == 0 && value[7] != '\0';

    if (!column && strcmp(value, "key") != 0 && strcmp(value, "table") != 0)
        return refuse(err, "key, table or column:NAME");
    return values_text(value, out, pool, err);
}

int
values_duration(const char *value, void *out, struct pool *pool, struct err *err)
{
    struct err ignored;
    uint64_t millis;

    if (opt_duration("", value, &millis, &ignored) != 0)
        return refuse(err, "a duration, as 200ms, 5s or 2min (at most a day)");
    return values_text(value, out, pool, err);
}

int
values_level(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    if (!log_level_parse(value, out))
        return refuse(err, "debug, info, warning or error");
    return 0;
}

int
values_format(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    for (int i = 0; log_format_names[i] != NULL; i++)
        if (strcmp(log_format_names[i], value) == 0) {
            *(enum log_format *)out = (enum log_format)i;
            return 0;
        }
    return refuse(err, "text, json or auto");
}

int
values_sink_type(const char *value, void *out, struct pool *pool, struct err *err)
{
    static const char *const names[] = {[SINK_PG] = "pg", [SINK_CH] = "ch", [SINK_EXEC] = "exec"};

    (void)pool;
    for (enum sink_type type = SINK_PG; type <= SINK_EXEC; type++)
        if (strcmp(value, names[type]) == 0) {
            *(enum sink_type *)out = type;
            return 0;
        }
    return refuse(err, "pg, ch or exec");
}

/* Takes one of the words, which a NULL ends, as given. */
static int
take_word(const char *const *words, const char *value, const char *expected, void *out,
          struct err *err)
{
    for (; *words != NULL; words++)
        if (strcmp(value, *words) == 0) {
            *(const char **)out = *words;
            return 0;
        }
    return refuse(err, expected);
}

int
values_overflow(const char *value, void *out, struct pool *pool, struct err *err)
{
    static const char *const words[] = {"error", "clamp", "null", NULL};

    (void)pool;
    return take_word(words, value, "error, clamp or null", out, err);
}

int
values_on_error(const char *value, void *out, struct pool *pool, struct err *err)
{
    static const char *const words[] = {"stop", "park", NULL};

    (void)pool;
    return take_word(words, value, "stop or park", out, err);
}

int
values_nullable(const char *value, void *out, struct pool *pool, struct err *err)
{
    static const char *const words[] = {"always", "source", NULL};

    (void)pool;
    return take_word(words, value, "always or source", out, err);
}

int
values_arrays(const char *value, void *out, struct pool *pool, struct err *err)
{
    static const char *const words[] = {"text", "array", NULL};

    (void)pool;
    return take_word(words, value, "text or array", out, err);
}

int
values_json(const char *value, void *out, struct pool *pool, struct err *err)
{
    static const char *const words[] = {"text", "json", NULL};

    (void)pool;
    return take_word(words, value, "text or json", out, err);
}

int
values_names(const char *value, void *out, struct pool *pool, struct err *err)
{
    char name[NAME_MAX_BYTES + 1];

    for (const char *at = value; at != NULL;)
        if (names_next(&at, name, err) != 0)
            return -1;
    return values_text(value, out, pool, err);
}

int
values_typed(const char *value, void *out, struct pool *pool, struct err *err)
{
    struct typed_name typed;

    for (const char *at = value; at != NULL;)
        if (names_next_typed(&at, &typed, err) != 0)
            return -1;
    return values_text(value, out, pool, err);
}

int
values_switch(const char *value, void *out, struct pool *pool, struct err *err)
{
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "on") == 0;

    (void)pool;
    if (!yes && strcmp(value, "no") != 0 && strcmp(value, "off") != 0)
        return refuse(err, "yes or no (also written on or off)");
    *(bool *)out = yes;
    return 0;
}

int
values_copy(const char *value, void *out, struct pool *pool, struct err *err)
{
    enum copy_choice *choice = out;
    bool yes;

    if (strcmp(value, "only") == 0) {
        *choice = COPY_ONLY;
        return 0;
    }
    if (values_switch(value, &yes, pool, err) != 0)
        return err_hint(err, "expected yes, no (also written on or off) or only");
    *choice = yes ? COPY_YES : COPY_NO;
    return 0;
}

int
values_origin(const char *value, void *out, struct pool *pool, struct err *err)
{
    bool none = strcmp(value, "none") == 0;

    (void)pool;
    if (!none && strcmp(value, "any") != 0)
        return refuse(err, "any or none");
    *(bool *)out = none;
    return 0;
}

static int
parse_u32(const char *value, uint32_t max, void *out, struct err *err)
{
    struct err ignored;
    char expected[64];
    uint64_t n;

    if (opt_number("", value, 1, max, &n, &ignored) != 0) {
        snprintf(expected, sizeof expected, "a whole number from 1 to %u", max);
        return refuse(err, expected);
    }
    *(uint32_t *)out = (uint32_t)n;
    return 0;
}

int
values_shards(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    return parse_u32(value, WORKERS_MAX, out, err);
}

int
values_batch_rows(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    return parse_u32(value, BATCH_ROWS_MAX, out, err);
}

int
values_park_limit(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    return parse_u32(value, PARK_LIMIT_MAX, out, err);
}

int
values_copy_workers(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    return parse_u32(value, COPY_WORKERS_MAX, out, err);
}

int
values_copy_hold(const char *value, void *out, struct pool *pool, struct err *err)
{
    struct err ignored;
    char expected[64];

    (void)pool;
    if (opt_number("", value, 1, HOLD_BYTES_MAX, out, &ignored) == 0)
        return 0;
    snprintf(expected, sizeof expected, "a whole number from 1 to %llu",
             (unsigned long long)HOLD_BYTES_MAX);
    return refuse(err, expected);
}

/* The units of PostgreSQL's settings. */
int
values_size(const char *value, void *out, struct pool *pool, struct err *err)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    size_t len = strspn(value, digits);
    char number[16];
    struct err ignored;
    uint64_t n;

    (void)pool;
    snprintf(number, sizeof number, "%.*s", (int)len, value);
    if (len < sizeof number && opt_number("", number, 1, UINT32_MAX, &n, &ignored) == 0)
        for (unsigned i = 0; i < sizeof units / sizeof *units; i++)
            if (strcmp(value + len, units[i]) == 0 && n <= UINT64_MAX >> (10 * (i + 2))) {
                *(uint64_t *)out = n << (10 * (i + 1));
                return 0;
            }
    return refuse(err, "a size such as 100GB, with the unit kB, MB, GB or TB");
}

int
values_copy_rate(const char *value, void *out, struct pool *pool, struct err *err)
{
    (void)pool;
    if (strcmp(value, "0") == 0) {
        *(uint32_t *)out = 0;
        return 0;
    }
    return parse_u32(value, UINT32_MAX, out, err);
}

/* libpq's message may quote a part of the connection string, and that part be a password. */
static int
hide_secrets(const char *value, struct err *err)
{
    if (strstr(value, "password") == NULL && strstr(value, "://") == NULL)
        return -1;
    err_set(err, EXIT_REFUSED, "malformed conninfo (not shown: it may hold a password)");
    return err_hint(err, "expected libpq's form: host=... dbname=... user=...");
}

static bool
quote_is_open(const char *value)
{
    bool open = false;

    for (; *value != '\0'; value++) {
        if (*value == '\\' && value[1] != '\0')
            value++;
        else if (*value == '\'')
            open = !open;
    }
    return open;
}

/* If a comment began between quotes, the rest is gone, with the second quote. */
static int
explain_comment(const char *value, struct err *err)
{
    if (!quote_is_open(value))
        return -1;
    return err_hint(err, "a quote is not closed; a \";\" behind a blank begins a comment also "
                         "between quotes: keep such a password in a passfile");
}

static int
refuse_key_password(const char *conninfo, struct err *err)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    bool found = false;

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        found = found || (strcmp(o->keyword, "sslpassword") == 0 && o->val != NULL);
    PQconninfoFree(options);
    if (!found)
        return 0;
    err_set(err, EXIT_REFUSED,
            "cannot pass sslpassword on: it would stand in the command line of a program");
    return err_hint(err, "use a key file (sslkey) without a password, readable only for walpipe");
}

int
values_conninfo(const char *value, void *out, struct pool *pool, struct err *err)
{
    struct conninfo_value *conninfo = out;
    char *without, *password;

    if (value[0] == '\0')
        return refuse(err, "libpq's form: host=... dbname=... user=...");
    if (pqx_take_password(value, &without, &password, err) != 0) {
        (void)hide_secrets(value, err);
        return explain_comment(value, err);
    }
    /* Unchanged if nothing had to be taken out. */
    conninfo->without = password == NULL ? value : pool_copy(pool, without);
    conninfo->password = password == NULL ? NULL : pool_copy(pool, password);
    free(without);
    free(password);
    return refuse_key_password(value, err);
}
