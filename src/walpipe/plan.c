/* plan.c: see plan.h. */
#include "walpipe/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/pqconn.h"
#include "walpipe/words.h"

/* ---- environments ---- */

/* The variables that every program may have, none of which is a secret. LD_* and the sanitizers'
 * options may be needed to run a program at all. */
static const char *const common_names[] = {
    "PATH",         "HOME",         "USER",         "LOGNAME",
    "TZ",           "TMPDIR",       "LD_PRELOAD",   "LD_LIBRARY_PATH",
    "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS"};

/* Besides PG*, the variables of libpq's Kerberos and OpenSSL. */
static const char *const login_names[] = {"KRB5CCNAME",   "KRB5_CONFIG",   "KRB5_CLIENT_KTNAME",
                                          "OPENSSL_CONF", "SSL_CERT_FILE", "SSL_CERT_DIR"};

/* For sink-ch, the variables of libcurl and OpenSSL. */
static const char *const clickhouse_names[] = {
    "http_proxy", "https_proxy", "HTTPS_PROXY",   "all_proxy",    "ALL_PROXY",
    "no_proxy",   "NO_PROXY",    "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF"};

/* The variable of sink-ch(1). */
static const char *const clickhouse_password[] = {"WALPIPE_CH_PASSWORD"};

static bool
is_variable(const char *entry, const char *name)
{
    size_t len = strlen(name);

    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static void
add_named(struct words *w, const char *const *env, const char *const *names, size_t count)
{
    for (size_t i = 0; env[i] != NULL; i++)
        for (size_t n = 0; n < count; n++)
            if (is_variable(env[i], names[n]))
                words_add(w, env[i]);
}

static struct words
clean_words(struct pool *pool, const char *const *env)
{
    struct words w = {.pool = pool};

    words_add(&w, "LANG=C.UTF-8");
    add_named(&w, env, common_names, sizeof common_names / sizeof *common_names);
    return w;
}

const char *const *
plan_clean_env(struct pool *pool, const char *const *env)
{
    return clean_words(pool, env).list;
}

const char *const *
plan_login_env(struct pool *pool, const char *const *env, const char *password,
               const char *password_file)
{
    struct words w = clean_words(pool, env);

    add_named(&w, env, login_names, sizeof login_names / sizeof *login_names);
    for (size_t i = 0; env[i] != NULL; i++)
        if (strncmp(env[i], "PG", 2) == 0 &&
            (password == NULL || !is_variable(env[i], "PGPASSWORD")))
            words_add(&w, env[i]);
    if (password != NULL)
        words_add(&w, pool_print(pool, "PGPASSWORD=%s", password));
    if (password_file != NULL)
        words_add(&w, pool_print(pool, "%s=%s", PQCONN_PASSWORD_FILE, password_file));
    return w.list;
}

static const char *const *
clickhouse_env(struct pool *pool, const char *const *env, const struct sink_config *sink)
{
    struct words w = clean_words(pool, env);

    add_named(&w, env, clickhouse_names, sizeof clickhouse_names / sizeof *clickhouse_names);
    if (sink->password != NULL)
        words_add(&w, pool_print(pool, "%s=%s", clickhouse_password[0], sink->password));
    else if (sink->password_file == NULL)
        add_named(&w, env, clickhouse_password, 1);
    return w.list;
}

const char *const *
plan_sink_env(struct pool *pool, const char *const *env, const struct sink_config *sink)
{
    return sink->type == SINK_PG ? plan_login_env(pool, env, sink->password, sink->password_file)
                                 : clickhouse_env(pool, env, sink);
}

/* A variable that the config takes into a conninfo. */
static bool
is_secret(const struct config *config, const char *entry)
{
    for (const struct variable *v = config->variables; v != NULL; v = v->next)
        if (v->secret && is_variable(entry, v->name))
            return true;
    return false;
}

/* A foreign program has needs that walpipe does not know. So it gets everything but the passwords
 * of the servers, and its own variables. */
static const char *const *
foreign_env(struct pool *pool, const struct config *config, const struct plan_program *program,
            const char *const *env)
{
    struct words w = {.pool = pool};

    for (size_t i = 0; env[i] != NULL; i++)
        if (!is_variable(env[i], "PGPASSWORD") && strncmp(env[i], "WALPIPE_", 8) != 0 &&
            !is_secret(config, env[i]))
            words_add(&w, env[i]);
    words_add(&w, pool_print(pool, "WALPIPE_ACKD=%s", config->socket));
    words_add(&w, pool_print(pool, "WALPIPE_SINK=%s", program->sink->name));
    words_add(&w, pool_print(pool, "WALPIPE_SHARD=%u", program->shard));
    words_add(&w, pool_print(pool, "WALPIPE_PIPELINE=%s", config->name));
    return w.list;
}

static void
add_last_words(struct pool *pool, const struct config *config, struct plan_program *p)
{
    struct words w = {.pool = pool};

    p->last_words =
        p->role == PLAN_WORKER
            ? pool_print(pool, "%s/error.sink.%s.%u", config->state_dir, p->sink->name, p->shard)
            : pool_print(pool, "%s/error.%s", config->state_dir, p->label);
    for (size_t i = 0; p->env[i] != NULL; i++)
        words_add(&w, p->env[i]);
    words_add(&w, pool_print(pool, "%s=%s", LOG_LAST_WORDS, p->last_words));
    p->env = w.list;
}

/* ---- arguments ---- */

void
plan_add_log(struct words *w, const struct config *config)
{
    words_add_option(w, "--log-level", log_level_name(config->log_level));
    if (config->log_format != LOG_AUTO)
        words_add_option(w, "--log-format", log_format_names[config->log_format]);
}

static const char *const *
ackd_arguments(const struct config *config, struct pool *pool, uint64_t restarts)
{
    struct words w = {.pool = pool};

    words_add(&w, "ackd");
    words_add_option(&w, "--socket", config->socket);
    words_add_option(&w, "--state", config->state_dir);
    words_add_option(&w, "--pipeline", config->name);
    for (size_t i = 0; i < config->sinks_count; i++)
        words_add_option(&w, "--sink",
                         pool_print(pool, "%s=%u", config->sinks[i].name, config->sinks[i].shards));
    for (size_t i = 0; i < config->sinks_count; i++)
        if (config->sinks[i].paused != 0)
            words_add_option(&w, config->sinks[i].detached ? "--detached" : "--paused",
                             pool_print(pool, "%s=%llu", config->sinks[i].name,
                                        (unsigned long long)config->sinks[i].paused));
    for (size_t i = 0; i < config->sinks_count; i++)
        if (config->sinks[i].detach_after != 0 && !config->only)
            words_add_option(&w, "--detach-after",
                             pool_print(pool, "%s=%llu", config->sinks[i].name,
                                        (unsigned long long)config->sinks[i].detach_after));
    if (config->http != NULL)
        words_add_option(&w, "--http", config->http);
    if (restarts > 0)
        words_add_option(&w, "--restarts", pool_print(pool, "%llu", (unsigned long long)restarts));
    plan_add_log(&w, config);
    return w.list;
}

static void
add_pg_options(struct words *w, const struct sink_config *sink)
{
    words_add_option(w, "--conninfo", sink->conninfo);
}

static void
add_given(struct words *w, const char *option, const char *value)
{
    if (value != NULL)
        words_add_option(w, option, value);
}

/* Those of all tables come first. */
static void
add_choices(struct words *w, const struct sink_config *sink)
{
    add_given(w, "--nullable", sink->nullable);
    add_given(w, "--arrays", sink->arrays);
    add_given(w, "--json", sink->json);
    for (const struct table_config *t = sink->choices; t != NULL; t = t->next) {
        words_add_option(w, "--table", t->name);
        add_given(w, "--engine", t->engine);
        add_given(w, "--order-by", t->order_by);
        add_given(w, "--partition-by", t->partition_by);
        add_given(w, "--column-types", t->column_types);
        add_given(w, "--leave-out", t->leave_out);
        add_given(w, "--nullable", t->nullable);
        add_given(w, "--arrays", t->arrays);
        add_given(w, "--json", t->json);
    }
}

static void
add_ch_options(struct words *w, const struct sink_config *sink)
{
    words_add_option(w, "--url", sink->url);
    words_add_option(w, "--database", sink->database);
    words_add_option(w, "--user", sink->user);
    add_given(w, "--password-file", sink->password_file);
    add_given(w, "--ca-file", sink->ca_file);
    add_given(w, "--cert-file", sink->cert_file);
    add_given(w, "--key-file", sink->key_file);
    if (sink->create_tables)
        words_add(w, "--create-tables");
    add_given(w, "--on-overflow", sink->on_overflow);
    add_given(w, "--version-column", sink->version_column);
    add_given(w, "--deleted-column", sink->deleted_column);
    add_choices(w, sink);
}

/* The program of a sink's type, and its target. */
static void
add_sink_program(struct words *w, const struct config *config, const struct sink_config *sink)
{
    words_add(w, sink->type == SINK_PG ? "sink-pg" : "sink-ch");
    if (sink->type == SINK_PG)
        add_pg_options(w, sink);
    else
        add_ch_options(w, sink);
    words_add_option(w, "--pipeline", config->name);
}

static void
add_parking(struct words *w, const struct sink_config *sink)
{
    words_add(w, "--park");
    if (sink->park_limit > 0)
        words_add_option(w, "--park-limit", pool_print(w->pool, "%u", sink->park_limit));
}

const char *const *
plan_resync_arguments(const struct config *config, struct pool *pool,
                      const struct sink_config *sink, const char *table)
{
    struct words w = {.pool = pool};

    add_sink_program(&w, config, sink);
    words_add_option(&w, "--sink", sink->name);
    words_add_option(&w, "--resync", table);
    for (size_t i = 0; i < sink->maps_count; i++)
        words_add_option(&w, "--map", sink->maps[i]);
    plan_add_log(&w, config);
    return w.list;
}

const char *const *
plan_attach_arguments(const struct config *config, struct pool *pool,
                      const struct sink_config *sink)
{
    struct words w = {.pool = pool};

    words_add(&w, sink->type == SINK_PG ? "sink-pg" : "sink-ch");
    if (sink->type == SINK_PG)
        add_pg_options(&w, sink);
    else
        add_ch_options(&w, sink);
    words_add_option(&w, "--pipeline", config->name);
    words_add_option(&w, "--sink", sink->name);
    words_add(&w, "--attach");
    for (size_t i = 0; i < sink->maps_count; i++)
        words_add_option(&w, "--map", sink->maps[i]);
    plan_add_log(&w, config);
    return w.list;
}

const char *const *
plan_skip_arguments(const struct config *config, struct pool *pool, const struct sink_config *sink,
                    const struct plan_skip *skip)
{
    struct words w = {.pool = pool};

    add_sink_program(&w, config, sink);
    words_add_option(&w, "--sink", sink->name);
    words_add_option(&w, "--skip", skip->lsn);
    if (skip->table != NULL)
        words_add_option(&w, "--skip-table", skip->table);
    if (skip->repaired)
        words_add(&w, "--repaired");
    plan_add_log(&w, config);
    return w.list;
}

const char *const *
plan_sink_arguments(const struct config *config, struct pool *pool, const struct sink_config *sink,
                    enum plan_use use)
{
    struct words w = {.pool = pool};

    add_sink_program(&w, config, sink);
    for (size_t i = 0; i < sink->maps_count; i++)
        words_add_option(&w, "--map", sink->maps[i]);
    if (use == PLAN_CHECK) {
        words_add(&w, "--check");
        if (sink->type == SINK_PG && config->source.binary)
            words_add(&w, "--binary");
        if (sink->copies)
            words_add(&w, "--copies");
        if (sink->type == SINK_PG && sink->create_tables)
            words_add(&w, "--create-tables");
    } else if (use == PLAN_DROP || use == PLAN_TABLES) {
        words_add_option(&w, "--sink", sink->name);
        words_add(&w, use == PLAN_DROP ? "--drop-progress" : "--tables");
    } else if (use == PLAN_ADOPT_LOOK || use == PLAN_ADOPT) {
        words_add_option(&w, "--adopt", use == PLAN_ADOPT ? "do" : "look");
    } else if (use == PLAN_SCHEMA || use == PLAN_SCHEMA_MAKE) {
        words_add_option(&w, "--schema", use == PLAN_SCHEMA ? "print" : "make");
    } else if (use == PLAN_COMPARE) {
        words_add(&w, "--compare");
    } else {
        words_add_option(&w, "--ackd", config->socket);
        words_add_option(&w, "--login-note", plan_login_path(config, pool, sink));
        if (sink->copy_hold > 0)
            words_add_option(&w, "--hold",
                             pool_print(pool, "%llu", (unsigned long long)sink->copy_hold));
        if (sink->on_error != NULL && strcmp(sink->on_error, "park") == 0)
            add_parking(&w, sink);
    }
    words_add_option(&w, "--batch-rows", pool_print(pool, "%u", sink->batch_rows));
    words_add_option(&w, "--flush-interval", sink->flush_interval);
    plan_add_log(&w, config);
    return w.list;
}

const char *
plan_login_path(const struct config *config, struct pool *pool, const struct sink_config *sink)
{
    return sink == NULL ? pool_print(pool, "%s/login.source", config->state_dir)
                        : pool_print(pool, "%s/login.sink.%s", config->state_dir, sink->name);
}

const char *
plan_limits_path(const struct config *config, struct pool *pool)
{
    return pool_print(pool, "%s/copy_limits", config->state_dir);
}

bool
plan_has_layout(const struct sink_config *sink)
{
    return sink->type == SINK_PG && sink->shards > 1;
}

const char *
plan_layout_path(const struct config *config, struct pool *pool, const struct sink_config *sink)
{
    return pool_print(pool, "%s/layout.%s", config->state_dir, sink->name);
}

const char *const *
plan_layout_arguments(const struct config *config, struct pool *pool,
                      const struct sink_config *sink)
{
    struct words w = {.pool = pool};

    words_add(&w, "sink-pg");
    words_add(&w, "--layout");
    add_pg_options(&w, sink);
    words_add_option(&w, "--pipeline", config->name);
    words_add_option(&w, "--sink", sink->name);
    for (size_t i = 0; i < sink->maps_count; i++)
        words_add_option(&w, "--map", sink->maps[i]);
    plan_add_log(&w, config);
    return w.list;
}

/* The shell becomes the command if that is a simple one (dash and bash do it by themselves). */
static const char *const *
exec_arguments(struct pool *pool, const struct sink_config *sink)
{
    struct words w = {.pool = pool};

    words_add(&w, "sh");
    words_add_option(&w, "-c", sink->command);
    return w.list;
}

/* Of the sinks that are not set aside. */
static uint32_t
count_workers(const struct config *config)
{
    uint32_t count = 0;

    for (size_t i = 0; i < config->sinks_count; i++)
        count += config->sinks[i].paused == 0 ? config->sinks[i].shards : 0;
    return count;
}

static bool
any_copies(const struct config *config)
{
    for (size_t i = 0; i < config->sinks_count; i++)
        if (config->sinks[i].paused == 0 && config->sinks[i].copies)
            return true;
    return false;
}

static const char *const *
route_arguments(const struct config *config, struct pool *pool)
{
    struct words w = {.pool = pool};
    uint32_t worker = 0;

    words_add(&w, "route");
    if (any_copies(config))
        words_add_option(&w, "--copy",
                         pool_print(pool, "/dev/fd/%d", plan_copy_fd(count_workers(config))));
    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];

        if (sink->paused != 0)
            continue;
        words_add_option(&w, "--sink", sink->name);
        words_add_option(&w, "--shard-key", sink->shard_key);
        if (sink->copies)
            words_add_option(&w, "--stream", "2");
        if (plan_has_layout(sink))
            words_add_option(&w, "--layout", plan_layout_path(config, pool, sink));
        if (sink->tables != NULL)
            words_add_option(&w, "--tables", sink->tables);
        if (!sink->copies && sink->type != SINK_EXEC)
            words_add_option(&w, "--left-out", "tell");
        for (uint32_t shard = 0; shard < sink->shards; shard++)
            words_add_option(&w, "--to", pool_print(pool, "/dev/fd/%d", plan_worker_fd(worker++)));
    }
    plan_add_log(&w, config);
    return w.list;
}

static const char *const *
decode_arguments(const struct config *config, struct pool *pool)
{
    struct words w = {.pool = pool};

    words_add(&w, "pgout-decode");
    if (config->source.local_only)
        words_add_option(&w, "--origin", "none");
    plan_add_log(&w, config);
    return w.list;
}

/* For the tables that sink-ch creates, and for its messages about their changes. */
static bool
needs_table_info(const struct config *config)
{
    for (size_t i = 0; i < config->sinks_count; i++)
        if (config->sinks[i].type == SINK_CH && config->sinks[i].paused == 0)
            return true;
    return false;
}

static const char *const *
reader_arguments(const struct config *config, struct pool *pool, const struct plan_place *place)
{
    const struct source_config *source = &config->source;
    struct words w = {.pool = pool};

    words_add(&w, "pg-wal-read");
    words_add_option(&w, "--conninfo", source->conninfo);
    words_add_option(&w, "--slot", source->slot);
    words_add_option(&w, "--publication", source->publication);
    words_add_option(&w, "--ackd", config->socket);
    words_add_option(&w, "--login-note", plan_login_path(config, pool, NULL));
    words_add_option(&w, "--slot-note", pool_print(pool, "%s/slot", config->state_dir));
    if (place->waits)
        words_add(&w, "--until-free");
    if (place->slot_exists)
        words_add(&w, "--slot-seen");
    if (source->create_slot)
        words_add(&w, "--create-slot");
    if (source->binary)
        words_add(&w, "--binary");
    if (source->local_only)
        words_add_option(&w, "--origin", "none");
    if (needs_table_info(config))
        words_add(&w, "--table-info");
    plan_add_log(&w, config);
    return w.list;
}

static const char *const *
table_reader_arguments(const struct config *config, struct pool *pool)
{
    const struct source_config *source = &config->source;
    struct words w = {.pool = pool};

    words_add(&w, "pg-table-read");
    words_add_option(&w, "--conninfo", source->conninfo);
    words_add_option(&w, "--publication", source->publication);
    words_add_option(&w, "--ackd", config->socket);
    words_add_option(&w, "--login-note", plan_login_path(config, pool, NULL));
    words_add_option(&w, "--limits", plan_limits_path(config, pool));
    words_add_option(&w, "--workers", pool_print(pool, "%u", config->copy_workers));
    if (config->copy_rate > 0)
        words_add_option(&w, "--rate", pool_print(pool, "%u", config->copy_rate));
    if (config->only)
        words_add(&w, "--until-copied");
    plan_add_log(&w, config);
    return w.list;
}

/* ---- the plan ---- */

static struct plan_program *
add_program(struct plan *plan, enum plan_role role, const struct plan_place *place,
            const char *const *argv)
{
    struct pool *pool = &plan->pool;
    struct plan_program *p = &plan->programs[plan->count++];

    p->role = role;
    p->argv = argv;
    p->label = argv[0];
    p->file = plan_program_path(pool, place->programs, argv[0]);
    p->env = plan_clean_env(pool, place->env);
    return p;
}

static void
add_worker(struct plan *plan, const struct config *config, const struct plan_place *place,
           const struct sink_config *sink, uint32_t shard)
{
    struct pool *pool = &plan->pool;
    const char *const *argv = sink->type == SINK_EXEC
                                  ? exec_arguments(pool, sink)
                                  : plan_sink_arguments(config, pool, sink, PLAN_RUN);
    struct plan_program *p = add_program(plan, PLAN_WORKER, place, argv);

    p->sink = sink;
    p->shard = shard;
    p->label = pool_print(pool, "sink %s/%u", sink->name, shard);
    if (sink->type == SINK_EXEC) {
        p->foreign = true;
        p->file = "/bin/sh";
        p->env = foreign_env(pool, config, p, place->env);
    } else {
        p->env = plan_sink_env(pool, place->env, sink);
        add_last_words(pool, config, p);
    }
    plan->workers_count++;
}

/* A program that logs in to the source. */
static void
add_reader(struct plan *plan, enum plan_role role, const struct config *config,
           const struct plan_place *place, const char *const *argv)
{
    struct plan_program *p = add_program(plan, role, place, argv);

    p->env = plan_login_env(&plan->pool, place->env, config->source.password,
                            config->source.password_file);
    add_last_words(&plan->pool, config, p);
}

void
plan_make(struct plan *plan, const struct config *config, const struct plan_place *place)
{
    struct pool *pool = &plan->pool;

    *plan = (struct plan){0};
    plan->waits = place->waits;
    plan->copies = any_copies(config);
    plan->only = config->only;
    plan->programs = pool_take(pool, (5 + config->workers_count) * sizeof *plan->programs);
    add_last_words(
        pool, config,
        add_program(plan, PLAN_ACKD, place, ackd_arguments(config, pool, place->restarts)));
    for (size_t i = 0; i < config->sinks_count; i++)
        for (uint32_t shard = 0; config->sinks[i].paused == 0 && shard < config->sinks[i].shards;
             shard++)
            add_worker(plan, config, place, &config->sinks[i], shard);
    add_last_words(pool, config,
                   add_program(plan, PLAN_ROUTE, place, route_arguments(config, pool)));
    add_last_words(pool, config,
                   add_program(plan, PLAN_DECODE, place, decode_arguments(config, pool)));
    add_reader(plan, PLAN_READER, config, place, reader_arguments(config, pool, place));
    if (plan->copies)
        add_reader(plan, PLAN_TABLE_READER, config, place, table_reader_arguments(config, pool));
}

void
plan_free(struct plan *plan)
{
    pool_free(&plan->pool);
    *plan = (struct plan){0};
}

const char *
plan_programs_directory(struct pool *pool, struct err *err)
{
    const char *given = getenv("WALPIPE_LIBEXEC");
    char path[4096];
    ssize_t len;

    if (given != NULL && given[0] != '\0')
        return given;
    len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0) {
        err_set(err, EXIT_PEER, "could not find walpipe's own executable: %s", strerror(errno));
        err_hint(err, "mount /proc, or set WALPIPE_LIBEXEC to the directory of walpipe's programs");
        return NULL;
    }
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    return pool_copy(pool, path);
}

const char *
plan_program_path(struct pool *pool, const char *directory, const char *program)
{
    return pool_print(pool, "%s/%s", directory, program);
}
