/* attach.c: see attach.h. The sink's program knows the target, and gets the source's tables as for
 * walpipe resync. */
#include "walpipe/attach.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/statedir.h"
#include "walpipe/described.h"
#include "walpipe/helper.h"
#include "walpipe/plan.h"
#include "walpipe/status.h"

/* The programs that ran with the sink end within this time after it was detached. */
#define ENDING_MICROS (UINT64_C(15) * 1000 * 1000)
#define LOOK_MILLIS   100

/* As walpipe resync does. */
#define SLOT_MICROS (UINT64_C(5) * 1000 * 1000)

struct attaching {
    const struct config *config;
    const struct sink_config *sink;
    struct pool pool;
    const char *programs;
    struct catalog catalog;
    struct ack_status *status;
    int source; /* described_open's file, -1 if there is none */
};

static int
check_config(const struct attaching *a, struct err *err)
{
    if (a->config->only) {
        err_set(err, EXIT_REFUSED, "with copy = only a detached sink cannot come back");
        return err_hint(err, "set copy = yes");
    }
    if (a->sink->type == SINK_EXEC) {
        err_set(err, EXIT_REFUSED,
                "sink \"%s\" was detached, and walpipe cannot copy the tables of a sink with type "
                "= exec again",
                a->sink->name);
        return err_hint(err,
                        "remove the file detached.%s from %.300s when its program has the "
                        "source's rows",
                        a->sink->name, a->config->state_dir);
    }
    if (a->sink->copies)
        return 0;
    err_set(err, EXIT_REFUSED, "sink \"%s\" does not copy, so its tables cannot be copied again",
            a->sink->name);
    return err_hint(err,
                    "set copy = yes in [sink %s], run walpipe reload -c %.300s if it runs, and "
                    "run this command again",
                    a->sink->name, a->config->path);
}

static bool
runs_with(const struct ack_status *status, const char *sink)
{
    for (uint32_t i = 0; i < status->workers_count; i++)
        if (strcmp(status->workers[i].sink, sink) == 0 && status->workers[i].paused_since == 0)
            return true;
    return false;
}

/* ackd has just written the file, or walpipe run has yet to read it. A worker that lives longer can
 * do no harm: see sink-pg(1) and sink-ch(1) under --attach. */
static int
await_without(struct attaching *a, struct err *err)
{
    uint64_t deadline = clock_micros() + ENDING_MICROS;
    struct err ignored = {0};

    while (statedir_is_run(a->config->state_dir)) {
        int rc = status_ask(a->config, a->status, &ignored);

        if (rc == 0 && !runs_with(a->status, a->sink->name))
            return 0;
        if (clock_micros() >= deadline && rc != 0)
            return 0;
        if (clock_micros() >= deadline) {
            err_set(err, EXIT_PEER, "the programs still run with sink %s", a->sink->name);
            return err_hint(err, "run walpipe reload -c %.300s, and try again", a->config->path);
        }
        poll(NULL, 0, LOOK_MILLIS);
    }
    return 0;
}

/* Whether the programs of this state directory stream from the source. They run without the sink,
 * and those of another walpipe may run with it. */
static bool
has_slot(struct attaching *a)
{
    struct err ignored = {0};

    return statedir_is_run(a->config->state_dir) &&
           status_ask(a->config, a->status, &ignored) == 0 && a->status->source_alive;
}

static int
ask_source(struct attaching *a, struct err *err)
{
    struct err why = {0};

    catalog_free(&a->catalog);
    if (catalog_read(&a->catalog, a->config, &why) == 0)
        return 0;
    err_set(err, why.code, "the source cannot be asked for its tables: %s", why.message);
    return err_hint(err, "%s", why.hint);
}

/* The slot may be in use for a moment longer than the programs that had it. */
static int
read_source(struct attaching *a, struct err *err)
{
    uint64_t deadline = clock_micros() + SLOT_MICROS;

    for (;;) {
        if (ask_source(a, err) != 0)
            return -1;
        if (!a->catalog.slot_active || has_slot(a))
            break;
        if (clock_micros() >= deadline) {
            err_set(err, EXIT_REFUSED, "the slot is in use: another walpipe runs this pipeline");
            return err_hint(err, "run the command there, with its config file and state_dir");
        }
        poll(NULL, 0, LOOK_MILLIS);
    }
    a->source = described_open(&a->catalog, err);
    return a->source < 0 ? -1 : 0;
}

static int
tell_target(struct attaching *a, struct err *err)
{
    struct helper helper = {
        .directory = a->programs,
        .argv = plan_attach_arguments(a->config, &a->pool, a->sink),
        .env = plan_sink_env(&a->pool, (const char *const *)environ, a->sink),
        .out = -1,
    };
    char *output = NULL;
    int code;

    helper.in = described_route(a->config, &a->pool, a->programs, a->sink, a->source, err);
    if (helper.in < 0)
        return -1;
    code = helper_run(&helper, &a->pool, &output, err);
    close(helper.in);
    if (code <= 0)
        return code;
    err_set(err, (enum exit_code)code,
            "sink %s stays detached: %s ended with exit code %d, see above", a->sink->name,
            helper.argv[0], code);
    return -1;
}

int
attach_sink(const struct config *config, const struct sink_config *sink, struct err *err)
{
    struct attaching a = {.config = config, .sink = sink, .source = -1};
    int rc;

    a.status = pool_take(&a.pool, sizeof *a.status);
    rc = check_config(&a, err) != 0 ? -1 : await_without(&a, err);
    if (rc == 0) {
        a.programs = plan_programs_directory(&a.pool, err);
        rc = a.programs == NULL || read_source(&a, err) != 0 ? -1 : tell_target(&a, err);
        catalog_free(&a.catalog);
    }
    if (a.source >= 0)
        close(a.source);
    pool_free(&a.pool);
    return rc;
}
