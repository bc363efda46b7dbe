/* tables.c: see tables.h. */
#include "walpipe/tables.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "walpipe/plan.h"
#include "walpipe/tablelist.h"
#include "walpipe/tablestext.h"

#define SAMPLE_MILLIS 1000

struct reading {
    const struct config *config;
    const char *programs;
    const struct sourcetables *source;
    struct pool *pool;
};

static void
read_sink(const struct reading *r, const struct sink_config *sink, struct tablelist *list)
{
    struct sinknotes notes;

    sinknotes_read(&notes, r->config, sink, r->programs, r->pool);
    tablelist_make(list, sink, r->source, &notes, r->pool);
}

/* Values that cannot be read now stay unchanged. */
static void
read_again(const struct reading *r, struct tablelist *lists)
{
    for (size_t i = 0; i < r->config->sinks_count; i++) {
        struct tablelist now;

        if (!lists[i].known || lists[i].copying == 0)
            continue;
        read_sink(r, &r->config->sinks[i], &now);
        if (!now.known)
            continue;
        tablelist_speeds(&now, &lists[i]);
        lists[i] = now;
    }
}

static struct tablelist *
read_lists(const struct config *config, struct sourcetables *source, struct pool *pool,
           struct err *err)
{
    struct tablelist *lists = pool_take(pool, (config->sinks_count + 1) * sizeof *lists);
    struct reading r = {.config = config, .source = source, .pool = pool};
    bool copying = false;

    r.programs = plan_programs_directory(pool, err);
    if (r.programs == NULL)
        return NULL;
    sourcetables_read(source, config, pool);
    for (size_t i = 0; i < config->sinks_count; i++) {
        read_sink(&r, &config->sinks[i], &lists[i]);
        copying = copying || lists[i].copying > 0;
    }
    if (copying) {
        poll(NULL, 0, SAMPLE_MILLIS);
        read_again(&r, lists);
    }
    return lists;
}

static void
show_text(const struct config *config, const struct sourcetables *source,
          const struct tablelist *lists)
{
    struct tablestext_how how = {.bars = isatty(STDOUT_FILENO)};

    if (!source->known)
        printf("source: not known: %s\n\n", source->why);
    for (size_t i = 0; i < config->sinks_count; i++) {
        if (i > 0)
            putchar('\n');
        tablestext_sink(&lists[i], how, stdout);
    }
}

static void
show_json(const struct config *config, const struct sourcetables *source,
          const struct tablelist *lists)
{
    struct json j = {.out = stdout};

    json_open(&j, '{');
    json_cstr(&j, "pipeline", config->name);
    json_open_member(&j, "source", '{');
    json_bool(&j, "known", source->known);
    json_cstr(&j, "error", source->known ? "" : source->why);
    json_close(&j, '}');
    json_open_member(&j, "sinks", '[');
    for (size_t i = 0; i < config->sinks_count; i++) {
        json_open_member(&j, NULL, '{');
        tablestext_json(&j, &lists[i], false);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    putchar('\n');
}

int
tables_show(const struct config *config, const struct log *log, bool json)
{
    struct sourcetables source;
    struct pool pool = {0};
    struct err err = {0};
    struct tablelist *lists = read_lists(config, &source, &pool, &err);
    int code = EXIT_DONE;

    if (lists == NULL) {
        code = log_failure(log, &err);
    } else {
        if (!source.known)
            log_write(log, LOG_WARNING, "the source could not be read: %s", source.why);
        (json ? show_json : show_text)(config, &source, lists);
        for (size_t i = 0; i < config->sinks_count && code == EXIT_DONE; i++)
            code = (int)lists[i].code;
    }
    pool_free(&pool);
    return code;
}
