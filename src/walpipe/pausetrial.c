/* pausetrial.c: see pausetrial.h. */
#include "walpipe/pausetrial.h"

#include <string.h>

#include "lib/clock.h"
#include "walpipe/pauses.h"
#include "walpipe/reload.h"
#include "walpipe/reloadnote.h"

struct trial_sink {
    struct trial_sink *next;
    const char *name;
    struct pause pause;
};

static struct trial_sink *
add(struct pausetrial *t, struct trial_sink *next, const char *name, const struct pause *pause)
{
    struct trial_sink *sink = pool_take(&t->pool, sizeof *sink);

    *sink = (struct trial_sink){.next = next, .name = pool_copy(&t->pool, name), .pause = *pause};
    return sink;
}

/* As its files said it at the start, or as they say it now. since and detached.since are 0 if the
 * sink has run, and has no file. */
static struct pause
pause_of(const struct config *config, const struct sink_config *sink)
{
    struct pause pause = pauses_now();
    struct err ignored = {0};

    if (sink->paused == 0) {
        if (pauses_read(config, sink->name, &pause, &ignored) != 0)
            pause = (struct pause){0};
        return pause;
    }
    pause.since = sink->detached ? 0 : sink->paused;
    if (sink->detached)
        pause.detached = (struct detachnote){
            .since = sink->paused, .lsn = sink->lacks_from, .why = "it was refused at its resume"};
    return pause;
}

static bool
is_on_trial(const struct pausetrial *t)
{
    return t->began_at != 0 && clock_micros() - t->began_at < UINT64_C(1000) * RELOAD_TRIAL_MILLIS;
}

void
pausetrial_note(struct pausetrial *t, const struct config *config)
{
    if (!is_on_trial(t))
        pausetrial_free(t);
    t->paused = NULL;
    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct pause pause = pause_of(config, &config->sinks[i]);

        if (pause.since != 0 || pause.detached.since != 0)
            t->paused = add(t, t->paused, config->sinks[i].name, &pause);
    }
}

static bool
runs(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->sinks_count; i++)
        if (strcmp(config->sinks[i].name, name) == 0)
            return config->sinks[i].paused == 0;
    return false;
}

/* Its trial is over, or begins anew. */
static void
forget(struct pausetrial *t, const char *name)
{
    struct trial_sink **at = &t->resumed;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    if (*at != NULL)
        *at = (*at)->next;
}

/* A sink that is on trial for its time already stays so for the rest of it. */
bool
pausetrial_begin(struct pausetrial *t, const struct config *config)
{
    if (!is_on_trial(t)) {
        t->resumed = NULL;
        t->began_at = 0;
    }
    for (const struct trial_sink *s = t->paused; s != NULL; s = s->next)
        if (runs(config, s->name)) {
            forget(t, s->name);
            t->resumed = add(t, t->resumed, s->name, &s->pause);
            t->began_at = clock_micros();
        }
    return t->began_at != 0;
}

/* fault: NULL if it may be of each. The others stay on trial. */
static int
pause_again(struct pausetrial *t, const struct config *config, const struct sink_config *fault,
            const char **names, bool *detached, struct err *err)
{
    *names = "";
    *detached = false;
    for (const struct trial_sink *s = t->resumed; s != NULL; s = s->next) {
        if (!runs(config, s->name) || (fault != NULL && strcmp(fault->name, s->name) != 0))
            continue;
        if (pauses_write(config, s->name, &s->pause, err) != 0)
            return -1;
        *detached = *detached || s->pause.detached.since != 0;
        *names = pool_print(&t->pool, "%s%s%s", *names, (*names)[0] == '\0' ? "" : ", ", s->name);
        forget(t, s->name);
    }
    return 0;
}

bool
pausetrial_undo(struct pausetrial *t, const struct config *config, const struct unit_end *end,
                const struct log *log)
{
    struct err refusal = end->why, err = {0};
    const char *names;
    bool detached;

    if (!is_on_trial(t) || (end->started && end->code != EXIT_REFUSED))
        return false;
    if (pause_again(t, config, end->sink, &names, &detached, &err) != 0) {
        log_failure(log, &err);
        return false;
    }
    if (names[0] == '\0')
        return false;
    err_set(&refusal, EXIT_REFUSED, "the pipeline cannot run with sink %s: %.800s", names,
            end->why.message);
    log_write(log, LOG_ERROR, "%s; the sink is %s again, and the others go on", refusal.message,
              detached ? "detached" : "paused");
    reloadnote_write(config, RELOAD_REFUSED, &refusal, log);
    return true;
}

void
pausetrial_free(struct pausetrial *t)
{
    pool_free(&t->pool);
    *t = (struct pausetrial){0};
}
