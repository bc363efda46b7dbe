/* tables.c: see tables.h. */
#include "walpipe/tables.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "walpipe/pausetext.h"
#include "walpipe/plan.h"
#include "walpipe/tablestext.h"

#define SAMPLE_MILLIS 1000

struct reading {
    const struct tables_choice *choice;
    struct tables_found *found;
    const char *programs;
    struct pool *pool;
};

static void
read_sink(const struct reading *r, size_t i, struct tablelist *list)
{
    const struct config *config = r->choice->config;
    struct sinknotes notes;

    sinknotes_read(&notes, config, &config->sinks[i], r->programs, r->pool);
    tablelist_make(list, &config->sinks[i], &r->found->source, &notes, r->pool);
}

/* Whether a table is being copied. */
static bool
read_sinks(const struct reading *r)
{
    const struct config *config = r->choice->config;
    struct tablelist *lists = r->found->lists;
    bool copying = false;

    for (size_t i = 0; i < config->sinks_count; i++) {
        if (r->choice->sinks != NULL && !r->choice->sinks[i])
            continue;
        read_sink(r, i, &lists[i]);
        copying = copying || lists[i].copying + lists[i].resync > 0;
    }
    return copying;
}

/* Values that cannot be read now stay unchanged. */
static void
read_again(const struct reading *r)
{
    struct tablelist *lists = r->found->lists;

    for (size_t i = 0; i < r->choice->config->sinks_count; i++) {
        struct tablelist now;

        if (lists[i].copying + lists[i].resync == 0)
            continue;
        read_sink(r, i, &now);
        if (!now.known)
            continue;
        tablelist_speeds(&now, &lists[i], SAMPLE_MILLIS / 1e3);
        lists[i] = now;
    }
}

int
tables_read(const struct tables_choice *choice, struct tables_found *found, struct pool *pool,
            struct err *err)
{
    const struct config *config = choice->config;
    struct reading r = {.choice = choice, .found = found, .pool = pool};

    *found = (struct tables_found){
        .lists = pool_take(pool, (config->sinks_count + 1) * sizeof *found->lists)};
    r.programs = plan_programs_directory(pool, err);
    if (r.programs == NULL)
        return -1;
    if (choice->source)
        sourcetables_read(&found->source, config, pool);
    if (read_sinks(&r)) {
        poll(NULL, 0, SAMPLE_MILLIS);
        read_again(&r);
    }
    return 0;
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
        pausetext_tables(config, &config->sinks[i], stdout);
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
    struct tables_choice choice = {.config = config, .source = true};
    struct tables_found found;
    struct pool pool = {0};
    struct err err = {0};
    int code = EXIT_DONE;

    if (tables_read(&choice, &found, &pool, &err) != 0) {
        code = log_failure(log, &err);
    } else {
        if (!found.source.known)
            log_write(log, LOG_WARNING, "the source could not be read: %s", found.source.why);
        (json ? show_json : show_text)(config, &found.source, found.lists);
        for (size_t i = 0; i < config->sinks_count && code == EXIT_DONE; i++)
            code = (int)found.lists[i].code;
    }
    pool_free(&pool);
    return code;
}
