/* adopt.c: see adopt.h. sink-ch does the work, and knows the tables. */
#include "walpipe/adopt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/statedir.h"
#include "lib/verdict.h"
#include "walpipe/confirm.h"
#include "walpipe/described.h"
#include "walpipe/helper.h"
#include "walpipe/plan.h"

struct adopting {
    const struct config *config;
    const char *sink; /* NULL for all */
    struct pool pool;
    const char *programs;
    struct catalog catalog;
    int source; /* described_open's file */
    bool any;   /* a target holds another history */
};

static bool
is_chosen(const struct adopting *a, const struct sink_config *sink)
{
    return sink->type == SINK_CH && (a->sink == NULL || strcmp(a->sink, sink->name) == 0);
}

/* The program's lines, with whose they are. A warning is something to adopt. */
static void
show(struct adopting *a, const struct sink_config *sink, char *output)
{
    struct verdicts verdicts = {.out = stdout};
    char *rest, *line;

    for (line = strtok_r(output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        enum verdict verdict;
        const char *text = verdict_read(line, &verdict);

        if (text == NULL)
            continue;
        verdict_say(&verdicts, verdict, "sink %s: %s", sink->name, text);
        a->any = a->any || verdict == VERDICT_WARN;
    }
    fflush(stdout);
}

static int
run_sink(struct adopting *a, const struct sink_config *sink, enum plan_use use, struct err *err)
{
    struct helper helper = {.directory = a->programs,
                            .argv = plan_sink_arguments(a->config, &a->pool, sink, use),
                            .env = plan_sink_env(&a->pool, (const char *const *)environ, sink),
                            .out = -1};
    char *output = NULL;
    int code;

    helper.in = described_route(a->config, &a->pool, a->programs, sink, a->source, err);
    if (helper.in < 0)
        return -1;
    code = helper_run(&helper, &a->pool, &output, err);
    close(helper.in);
    if (code < 0)
        return -1;
    show(a, sink, output);
    if (code == EXIT_DONE)
        return 0;
    return err_set(err, (enum exit_code)code, "sink %s: sink-ch ended with exit code %d, see above",
                   sink->name, code);
}

static int
run_sinks(struct adopting *a, enum plan_use use, struct err *err)
{
    for (size_t i = 0; i < a->config->sinks_count; i++)
        if (is_chosen(a, &a->config->sinks[i]) && run_sink(a, &a->config->sinks[i], use, err) != 0)
            return -1;
    return 0;
}

static bool
confirmed(void)
{
    puts(
        "Rows that the source sends will replace the rows above. Rows that the source does not "
        "have, and rows that differ there and are not changed any more, stay as they are for ever, "
        "unless you have repaired these tables or copied them anew: see Histories in sink-ch(1).");
    return confirm("do these tables hold the source's rows, and shall they be adopted?",
                   "nothing was changed");
}

static int
check_sink_name(const struct adopting *a, struct err *err)
{
    for (size_t i = 0; i < a->config->sinks_count; i++)
        if (is_chosen(a, &a->config->sinks[i]))
            return 0;
    if (a->sink == NULL)
        return err_set(err, EXIT_REFUSED,
                       "%s has no sink of type ch: only ClickHouse's tables can "
                       "be adopted",
                       a->config->path);
    return err_set(err, EXIT_REFUSED, "%s has no sink \"%s\" of type ch", a->config->path, a->sink);
}

/* The lock is held to the end. A walpipe on another machine has the slot. */
static int
prepare(struct adopting *a, struct err *err)
{
    const char *path = a->config->state_dir;
    int dir;

    if (check_sink_name(a, err) != 0)
        return -1;
    a->programs = plan_programs_directory(&a->pool, err);
    if (a->programs == NULL)
        return -1;
    dir = statedir_open_existing(path, err);
    if (dir < 0 && dir != STATEDIR_MISSING)
        return -1;
    if (dir >= 0 && statedir_lock(dir, path, STATEDIR_WALPIPE, err) < 0)
        return err_hint(err, "stop the pipeline first: adopt works only when it does not run");
    if (catalog_read(&a->catalog, a->config, err) != 0)
        return -1;
    if (a->catalog.slot_active) {
        err_set(err, EXIT_REFUSED, "slot \"%s\" is in use", a->config->source.slot);
        return err_hint(err, "stop the pipeline first, on the other machine too");
    }
    a->source = described_open(&a->catalog, err);
    return a->source < 0 ? -1 : 0;
}

/* The exit code, or -1 with err. */
static int
adopt(struct adopting *a, bool yes, struct err *err)
{
    if (prepare(a, err) != 0 || run_sinks(a, PLAN_ADOPT_LOOK, err) != 0)
        return -1;
    if (!a->any)
        return EXIT_DONE;
    if (!yes && !confirmed())
        return EXIT_DECLINED;
    return run_sinks(a, PLAN_ADOPT, err) == 0 ? EXIT_DONE : -1;
}

int
adopt_histories(const struct config *config, const struct log *log, const char *sink, bool yes)
{
    struct adopting a = {.config = config, .sink = sink, .source = -1};
    struct err err = {0};
    int code = adopt(&a, yes, &err);

    if (code < 0)
        code = log_failure(log, &err);
    if (a.source >= 0)
        close(a.source);
    catalog_free(&a.catalog);
    pool_free(&a.pool);
    return code;
}
