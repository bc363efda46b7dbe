/* drop.c: see drop.h. */
#include "walpipe/drop.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/comparenote.h"
#include "lib/detachnote.h"
#include "lib/statedir.h"
#include "walpipe/confirm.h"
#include "walpipe/dropslot.h"
#include "walpipe/pauses.h"
#include "walpipe/plan.h"

struct dropping {
    const struct config *config;
    const struct log *log;
    struct pool pool;
    const char *programs;
    int code; /* of the first failure */
};

static void
note_failure(struct dropping *d, int code)
{
    if (d->code == EXIT_DONE)
        d->code = code;
}

/* Returns true if it is gone. */
static bool
run_drop(struct dropping *d, const char *what, struct helper *helper)
{
    struct err err = {0};
    char *output = NULL;
    int code;

    helper->directory = d->programs;
    helper->in = helper->out = -1;
    code = helper_run(helper, &d->pool, &output, &err);
    if (code < 0) {
        note_failure(d, log_failure(d->log, &err));
    } else if (code != EXIT_DONE) {
        printf("could not drop %s: %s ended with exit code %d\n", what, helper->argv[0], code);
        note_failure(d, code);
    } else {
        printf(strcmp(output, "missing\n") == 0 ? "%s does not exist any more\n" : "dropped %s\n",
               what);
    }
    fflush(stdout);
    return code == EXIT_DONE;
}

static bool
drop_slot(struct dropping *d)
{
    struct helper helper = {0};

    dropslot_prepare(&helper, d->config, &d->pool);
    return run_drop(d, pool_print(&d->pool, "slot %s", d->config->source.slot), &helper);
}

static void
drop_progress(struct dropping *d, const struct sink_config *sink)
{
    struct helper helper = {
        .argv = plan_sink_arguments(d->config, &d->pool, sink, PLAN_DROP),
        .env = plan_sink_env(&d->pool, (const char *const *)environ, sink),
    };

    (void)run_drop(d, pool_print(&d->pool, "progress of sink %s", sink->name), &helper);
}

/* The files that a pipeline leaves behind besides the checkpoint. None of them is needed again. */
static bool
is_trace(const char *name)
{
    static const char *const beginnings[] = {
        "error.",          "login.",          "layout.", "slot",
        "copies",          "copy_limits",     "reload",  PAUSES_PREFIX,
        DETACHNOTE_PREFIX, COMPARENOTE_PREFIX};

    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return strcmp(name, "wal_end") == 0 || strcmp(name, "reached") == 0 ||
           strcmp(name, "last_error") == 0;
}

static void
remove_traces(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        if (is_trace(entry->d_name))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

static void
drop_checkpoint(struct dropping *d)
{
    const char *path = pool_print(&d->pool, "%s/checkpoint", d->config->state_dir);
    struct err err = {0};

    remove_traces(d->config->state_dir);
    if (unlink(path) == 0) {
        printf("removed %s\n", path);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        err_set(&err, EXIT_REFUSED, "could not remove \"%s\": %s", path, strerror(errno));
        note_failure(d, log_failure(d->log, &err));
    }
}

static bool
confirmed(const struct config *config)
{
    char question[512];

    snprintf(question, sizeof question, "drop slot %s of pipeline %s and its progress rows?",
             config->source.slot, config->name);
    return confirm(question, "nothing was dropped");
}

/* Nothing would tell any more that the sink's target lacks changes. */
static int
require_attached(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->sinks_count; i++) {
        const char *sink = config->sinks[i].name;
        struct detachnote note;

        if (detachnote_read(config->state_dir, sink, &note, err) != 0)
            return -1;
        if (note.since == 0)
            continue;
        err_set(err, EXIT_REFUSED, "sink %s is detached, so its target lacks changes", sink);
        return err_hint(err,
                        "bring it back with walpipe resume --sink %s; or take it out of the config "
                        "first, which keeps its notes in the target",
                        sink);
    }
    return 0;
}

/* The lock is held to the end, so that nobody starts the pipeline that is being dropped. */
static int
prepare(struct dropping *d, struct err *err)
{
    const char *path = d->config->state_dir;
    int dir;

    d->programs = plan_programs_directory(&d->pool, err);
    if (d->programs == NULL)
        return -1;
    dir = statedir_open_existing(path, err);
    if (dir < 0)
        return dir == STATEDIR_MISSING ? 0 : -1;
    if (statedir_lock(dir, path, STATEDIR_WALPIPE, err) >= 0)
        return require_attached(d->config, err);
    return err_hint(err, "stop the pipeline first: drop works only when it does not run");
}

int
drop_pipeline(const struct config *config, const struct log *log, bool yes)
{
    struct dropping d = {.config = config, .log = log, .code = EXIT_DONE};
    struct err err = {0};

    if (prepare(&d, &err) != 0) {
        d.code = log_failure(log, &err);
    } else if (yes || confirmed(config)) {
        /* While the slot is there the pipeline can go on, unless something else is gone. */
        if (drop_slot(&d)) {
            for (size_t i = 0; i < config->sinks_count; i++)
                if (config->sinks[i].type != SINK_EXEC)
                    drop_progress(&d, &config->sinks[i]);
            drop_checkpoint(&d);
        } else {
            printf("kept the progress in the targets and in %s\n", config->state_dir);
        }
    } else {
        d.code = EXIT_DECLINED;
    }
    pool_free(&d.pool);
    return d.code;
}
