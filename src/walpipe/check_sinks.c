/* check_sinks.c: see check_sinks.h. */
#include "walpipe/check_sinks.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/io.h"
#include "walpipe/plan.h"
#include "walpipe/words.h"

static bool
matches_any(const struct table_pattern *p, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (names_match(&p->schema, catalog->relations[i].schema) &&
            names_match(&p->table, catalog->relations[i].name))
            return true;
    return false;
}

static bool
is_published(const struct table_mapping *m, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (strcmp(m->schema, catalog->relations[i].schema) == 0 &&
            strcmp(m->table, catalog->relations[i].name) == 0)
            return true;
    return false;
}

/* What stands in tables and map for nothing: often a name that is not written as it is. */
static void
check_lists(struct checking *c, const char *whose, const struct sink_config *sink,
            const struct catalog *catalog)
{
    char shown[300];

    for (size_t i = 0; i < sink->filter.count; i++) {
        if (matches_any(&sink->filter.patterns[i], catalog))
            continue;
        names_show_pattern(&sink->filter.patterns[i], shown, sizeof shown);
        verdict_say(&c->verdicts, VERDICT_WARN, "%stables: %s matches no published table", whose,
                    shown);
    }
    for (size_t i = 0; i < sink->map.count; i++) {
        const struct table_mapping *m = &sink->map.entries[i];

        if (!is_published(m, catalog))
            verdict_say(&c->verdicts, VERDICT_WARN, "%smap: no table %s.%s is published", whose,
                        m->schema, m->table);
        else if (!tablefilter_takes(&sink->filter, m->schema, m->table))
            verdict_say(&c->verdicts, VERDICT_WARN, "%smap: tables leaves %s.%s out", whose,
                        m->schema, m->table);
    }
}

static int
memory_file(struct err *err)
{
    int fd = memfd_create("walpipe-check", MFD_CLOEXEC);

    if (fd < 0)
        return err_set(err, EXIT_PEER, "could not make a file in memory: %s", strerror(errno));
    return fd;
}

/* The event stream that describes the source's tables, as pgout-decode would write it: a file, or
 * -1 with err. */
static int
describe_source(const struct catalog *catalog, struct err *err)
{
    struct buf out = {0};
    int encoded = hello_encode(&out, &catalog->hello), fd = -1;

    for (size_t i = 0; encoded == 0 && i < catalog->count; i++)
        encoded = relation_encode(&out, &catalog->relations[i]);
    if (encoded == 0)
        encoded = end_encode(&out, "check");
    if (encoded != 0)
        err_set(err, EXIT_PEER, "no memory to describe the source's tables");
    else
        fd = memory_file(err);
    if (fd >= 0 && io_write_all(fd, (struct bytes){out.data, buf_len(&out)}, err) != 0) {
        close(fd);
        fd = -1;
    }
    buf_free(&out);
    return fd;
}

/* route says which tables the sink gets, and whether they can be sharded as asked: all its workers'
 * streams are alike here, so only the first one's is kept. */
static const char *const *
route_arguments(struct checking *c, const struct sink_config *sink)
{
    struct words w = {.pool = &c->pool};

    words_add(&w, "route");
    words_add_option(&w, "--sink", sink->name);
    words_add_option(&w, "--shard-key", sink->shard_key);
    if (sink->tables != NULL)
        words_add_option(&w, "--tables", sink->tables);
    words_add_option(&w, "--to", "/dev/fd/3");
    for (uint32_t shard = 1; shard < sink->shards; shard++)
        words_add_option(&w, "--to", "/dev/null");
    words_add_option(&w, "--log-level", log_level_name(c->config->log_level));
    return w.list;
}

/* The part of the stream in `source` that is for the sink, as a file; -1 when a line said why
 * not. */
static int
route_to_sink(struct checking *c, const char *whose, const struct sink_config *sink, int source)
{
    struct helper helper = {.directory = c->programs,
                            .argv = route_arguments(c, sink),
                            .env = plan_clean_env(&c->pool, c->env),
                            .in = source};
    struct err err = {0};
    char *output;
    int code;

    helper.out = memory_file(&err);
    if (helper.out < 0 || lseek(source, 0, SEEK_SET) != 0) {
        verdict_say(&c->verdicts, VERDICT_FAIL, "%s%s", whose, err.message);
        return -1;
    }
    code = helper_run(&helper, &c->pool, &output, &err);
    if (code == EXIT_DONE && lseek(helper.out, 0, SEEK_SET) == 0)
        return helper.out;
    close(helper.out);
    if (code < 0)
        verdict_say(&c->verdicts, VERDICT_FAIL, "%s%s", whose, err.message);
    else
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "%sroute ended with exit code %d: its own message is in the log", whose, code);
    return -1;
}

/* A program of the user's is not run. But one that is named by its path must be there. */
static void
check_command(struct checking *c, const char *whose, const struct sink_config *sink)
{
    const char *word = sink->command + strspn(sink->command, " ");
    char *path;

    if (strncmp(word, "exec ", 5) == 0)
        word += 5 + strspn(word + 5, " ");
    path = pool_copy(&c->pool, word);
    path[strcspn(path, " ")] = '\0';
    if (strchr(path, '/') != NULL && path[strcspn(path, "\"'`$\\=;|&<>(){}*?[]~#")] == '\0' &&
        access(path, X_OK) != 0)
        verdict_say(&c->verdicts, VERDICT_FAIL, "%scannot run \"%s\": %s", whose, path,
                    strerror(errno));
    else
        verdict_say(&c->verdicts, VERDICT_OK, "%sa program of yours, not tried: %s", whose,
                    sink->command);
}

/* source: describe_source()'s file, or -1. */
static void
check_sink(struct checking *c, const struct sink_config *sink, int source)
{
    const char *whose = pool_print(&c->pool, "sink %s: ", sink->name);
    struct helper helper = {.directory = c->programs, .out = -1};

    if (source < 0)
        return;
    helper.in = route_to_sink(c, whose, sink, source);
    if (helper.in < 0)
        return;
    if (sink->type == SINK_EXEC) {
        check_command(c, whose, sink);
    } else {
        helper.argv = plan_sink_arguments(c->config, &c->pool, sink, PLAN_CHECK);
        helper.env = sink->type == SINK_PG ? plan_login_env(&c->pool, c->env, sink->password)
                                           : plan_clickhouse_env(&c->pool, c->env);
        checking_run(c, whose, &helper);
    }
    close(helper.in);
}

void
check_sinks(struct checking *c, const struct catalog *catalog, bool known)
{
    struct err err = {0};
    int source = describe_source(catalog, &err);

    if (source < 0)
        verdict_fail(&c->verdicts, "check", &err);
    for (size_t i = 0; i < c->config->sinks_count; i++) {
        const struct sink_config *sink = &c->config->sinks[i];
        const char *whose = pool_print(&c->pool, "sink %s: ", sink->name);

        if (known)
            check_lists(c, whose, sink, catalog);
        else
            verdict_say(&c->verdicts, VERDICT_WARN,
                        "%snot checked against the source's tables, which could not be read",
                        whose);
        check_sink(c, sink, source);
    }
    if (source >= 0)
        close(source);
}
