/* check.c: see check.h. What concerns one program is that program's own --check, run as a child:
 * pg-wal-read knows the replication connection, a sink its target. */
#include "walpipe/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/statedir.h"
#include "lib/verdict.h"
#include "walpipe/catalog.h"
#include "walpipe/helper.h"
#include "walpipe/plan.h"
#include "walpipe/words.h"

struct checking {
    const struct config *config;
    const struct log *log;
    struct pool pool;
    const char *programs;
    const char *const *env; /* walpipe's own */
    struct verdicts verdicts;
};

/* ---- the config and the state directory ---- */

static bool
has_password(const struct config *config)
{
    bool found = config->source.password != NULL;

    for (size_t i = 0; i < config->sinks_count; i++)
        found = found || config->sinks[i].password != NULL;
    return found;
}

static void
check_config(struct checking *c)
{
    const struct config *config = c->config;
    struct stat st;

    verdict_say(&c->verdicts, VERDICT_OK, "config %s: pipeline %s, %zu sink(s), %u worker(s)",
                config->path, config->name, config->sinks_count, config->workers_count);
    if (has_password(config) && stat(config->path, &st) == 0 && (st.st_mode & 077) != 0)
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "config %s holds a password and other users can read it: chmod 0600, or use a "
                    "password file (passfile=)",
                    config->path);
}

static void
check_state_dir(struct checking *c)
{
    const char *dir = c->config->state_dir;
    struct err err = {0};
    int fd = statedir_open_existing(dir, &err);
    int lock = fd < 0 ? -1 : statedir_lock(fd, dir, STATEDIR_WALPIPE, &err);

    if (fd == STATEDIR_MISSING)
        verdict_say(&c->verdicts, VERDICT_OK,
                    "state directory %s does not exist yet: run will make it", dir);
    else if (lock == STATEDIR_IN_USE)
        verdict_say(&c->verdicts, VERDICT_WARN, "state directory %s: a pipeline runs in it now",
                    dir);
    else if (lock < 0)
        verdict_fail(&c->verdicts, "state directory", &err);
    else
        verdict_say(&c->verdicts, VERDICT_OK, "state directory %s", dir);
    if (lock >= 0)
        close(lock);
    if (fd >= 0)
        close(fd);
}

/* ---- helpers' lines ---- */

/* Prints a program's lines, with whose they are behind the verdict, and counts its verdict. */
static void
relay(struct checking *c, const char *whose, char *output)
{
    char *rest, *line;

    for (line = strtok_r(output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        enum verdict verdict;
        const char *text = verdict_read(line, &verdict);

        if (text != NULL)
            verdict_say(&c->verdicts, verdict, "%s%s", whose, text);
        else
            printf("      %s%s\n", whose, line);
    }
    fflush(stdout);
}

static void
run_check(struct checking *c, const char *whose, const struct helper *helper)
{
    struct err err = {0};
    bool failed_before = c->verdicts.failed;
    char *output = NULL;
    int code = helper_run(helper, &c->pool, &output, &err);

    if (code < 0) {
        verdict_say(&c->verdicts, VERDICT_FAIL, "%s%s: %s", whose, err.message, err.hint);
        return;
    }
    c->verdicts.failed = false;
    relay(c, whose, output);
    if (code != EXIT_DONE && !c->verdicts.failed)
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "%s%s --check ended with exit code %d: its own message is in the log", whose,
                    helper->argv[0], code);
    c->verdicts.failed = c->verdicts.failed || failed_before;
}

/* ---- the source ---- */

static void
check_reader(struct checking *c)
{
    const struct source_config *source = &c->config->source;
    struct words w = {.pool = &c->pool};
    struct helper helper = {.directory = c->programs, .in = -1, .out = -1};

    words_add(&w, "pg-wal-read");
    words_add_option(&w, "--conninfo", source->conninfo);
    words_add_option(&w, "--slot", source->slot);
    words_add_option(&w, "--publication", source->publication);
    if (source->create_slot)
        words_add(&w, "--create-slot");
    if (source->binary)
        words_add(&w, "--binary");
    if (source->local_only)
        words_add_option(&w, "--origin", "none");
    words_add(&w, "--check");
    words_add_option(&w, "--log-level", log_level_name(c->config->log_level));
    helper.argv = w.list;
    helper.env = plan_login_env(&c->pool, c->env, source->password);
    run_check(c, "", &helper);
}

/* Trap 47: on such a table the source itself refuses updates and deletes once it is published. */
static void
check_identities(struct checking *c, const struct catalog *catalog)
{
    size_t without = 0, full = 0;

    for (size_t i = 0; i < catalog->count; i++) {
        const struct relation *rel = &catalog->relations[i];

        full += rel->replica_identity == 'f';
        if (catalog_has_identity(rel) || !catalog->publishes_changes)
            continue;
        without++;
        verdict_say(
            &c->verdicts, VERDICT_WARN,
            "table %s.%s has no replica identity: the source refuses its updates and deletes: add "
            "a primary key (not deferrable), or ALTER TABLE ... REPLICA IDENTITY FULL",
            rel->schema, rel->name);
    }
    if (catalog->count == 0)
        verdict_say(&c->verdicts, VERDICT_WARN, "publication %s: no table is published yet",
                    c->config->source.publication);
    else if (without == 0)
        verdict_say(&c->verdicts, VERDICT_OK,
                    "replica identity: %zu published table(s), %zu with identity full",
                    catalog->count, full);
}

/* ---- sinks ---- */

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

/* source: describe_source()'s file, or -1. */
static void
check_sink(struct checking *c, const struct sink_config *sink, int source)
{
    const char *whose = pool_print(&c->pool, "sink %s: ", sink->name);
    struct helper helper = {.directory = c->programs, .out = -1};

    if (source < 0) {
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "%snot checked, because the source's tables could not be read", whose);
        return;
    }
    helper.in = route_to_sink(c, whose, sink, source);
    if (helper.in < 0)
        return;
    if (sink->type == SINK_EXEC) {
        verdict_say(&c->verdicts, VERDICT_OK, "%sa program of yours, not tried: %s", whose,
                    sink->command);
    } else {
        helper.argv = plan_sink_arguments(c->config, &c->pool, sink, PLAN_CHECK);
        helper.env = sink->type == SINK_PG ? plan_login_env(&c->pool, c->env, sink->password)
                                           : plan_clean_env(&c->pool, c->env);
        run_check(c, whose, &helper);
    }
    close(helper.in);
}

static void
check_sinks(struct checking *c, const struct catalog *catalog)
{
    struct err err = {0};
    int source = catalog == NULL ? -1 : describe_source(catalog, &err);

    if (catalog != NULL && source < 0)
        verdict_fail(&c->verdicts, "check", &err);
    for (size_t i = 0; i < c->config->sinks_count; i++)
        check_sink(c, &c->config->sinks[i], source);
    if (source >= 0)
        close(source);
}

static void
check_all(struct checking *c)
{
    struct catalog catalog;
    struct err err = {0};
    bool known;

    check_config(c);
    check_state_dir(c);
    check_reader(c);
    known = catalog_read(&catalog, c->config, &c->pool, &err) == 0;
    if (known)
        check_identities(c, &catalog);
    else
        verdict_fail(&c->verdicts, "source", &err);
    check_sinks(c, known ? &catalog : NULL);
    catalog_free(&catalog);
}

int
check_pipeline(const struct config *config, const struct log *log)
{
    struct checking c = {
        .config = config, .log = log, .env = (const char *const *)environ, .verdicts.out = stdout};
    struct err err = {0};
    int code;

    c.programs = plan_programs_directory(&c.pool, &err);
    if (c.programs == NULL) {
        code = log_failure(log, &err);
    } else {
        check_all(&c);
        code = c.verdicts.failed ? EXIT_REFUSED : EXIT_DONE;
    }
    pool_free(&c.pool);
    return code;
}
