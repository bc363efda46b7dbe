/* copydefault.c: see copydefault.h. The file DIR/copies has a line "SINK yes", "SINK no" or
 * "SINK only" for each sink of the last run. */
#include "walpipe/copydefault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/statefile.h"
#include "walpipe/copykeys.h"
#include "walpipe/sinknotes.h"
#include "walpipe/slotlook.h"

struct deciding {
    struct config *config;
    const char *programs;
    const struct log *log;
    struct pool pool;
    char *memory; /* the file's text, NULL if there is none */
    struct evidence common;
    bool looked;       /* at the source */
    struct err source; /* why it did not answer */
};

/* ---- the state directory ---- */

static const char *
path_of(const struct config *config, struct pool *pool, const char *name)
{
    return pool_print(pool, "%s/%s", config->state_dir, name);
}

static int
read_state(struct deciding *d, struct err *err)
{
    d->common.begun = access(path_of(d->config, &d->pool, "checkpoint"), F_OK) == 0;
    if (statefile_read(path_of(d->config, &d->pool, "copies"), &d->memory, err) != 0)
        return -1;
    d->common.remembers = d->memory != NULL;
    return 0;
}

static const char *const words[] = {
    [COPY_UNSET] = "", [COPY_NO] = " no\n", [COPY_YES] = " yes\n", [COPY_ONLY] = " only\n"};

static enum copy_choice
remembered(const char *memory, const char *sink)
{
    size_t len = strlen(sink);

    for (const char *line = memory; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');

        for (int choice = COPY_NO; choice <= COPY_ONLY; choice++)
            if (strncmp(line, sink, len) == 0 &&
                strncmp(line + len, words[choice], strlen(words[choice])) == 0)
                return (enum copy_choice)choice;
        line = end == NULL ? NULL : end + 1;
    }
    return COPY_UNSET;
}

static enum copy_choice
choice_of(const struct config *config, const struct sink_config *sink)
{
    return config->only ? COPY_ONLY : sink->copies ? COPY_YES : COPY_NO;
}

/* Nothing is decided for a sink that is paused before its first start. */
static bool
is_decided(const struct deciding *d, const struct sink_config *sink)
{
    return !sink->copy_open || sink->paused == 0 || remembered(d->memory, sink->name) != COPY_UNSET;
}

/* Also where the config file says it, so that the choice stays when its line is removed. */
static int
remember(struct deciding *d, struct err *err)
{
    const char *text = "";

    for (size_t i = 0; i < d->config->sinks_count; i++)
        if (is_decided(d, &d->config->sinks[i]))
            text = pool_print(&d->pool, "%s%s%s", text, d->config->sinks[i].name,
                              words[choice_of(d->config, &d->config->sinks[i])]);
    if (d->memory != NULL && strcmp(d->memory, text) == 0)
        return 0;
    return statefile_write(path_of(d->config, &d->pool, "copies"), text, err);
}

/* ---- the source ---- */

static void
look_at_source(struct deciding *d)
{
    bool exists;

    if (d->looked)
        return;
    d->looked = true;
    d->common.slot = slotlook_ask(d->config, &d->pool, &exists, &d->source);
}

/* ---- the target ---- */

static enum evidence_target
look_at_target(struct deciding *d, const struct sink_config *sink, struct err *err)
{
    struct sinknotes notes;

    sinknotes_read(&notes, d->config, sink, d->programs, &d->pool);
    if (!notes.known) {
        err_set(err, notes.code, "could not ask the target of sink %s whether it takes copies: %s",
                sink->name, notes.why);
        err_hint(err, "correct the cause%s",
                 d->config->only ? "" : ", or set copy = yes or copy = no in the sink");
        return EVIDENCE_TARGET_UNKNOWN;
    }
    if (notes.sink.noted)
        return EVIDENCE_TARGET_COPIES;
    return strcmp(notes.sink.state, "streaming") == 0 ? EVIDENCE_TARGET_FOLLOWED
                                                      : EVIDENCE_TARGET_NOTHING;
}

/* ---- the choice ---- */

/* Asks the source and the target only if their answers matter. */
static struct copychoice
choose(struct deciding *d, const struct sink_config *sink, struct err *err)
{
    struct evidence e = d->common;
    struct copychoice choice;

    e.last = remembered(d->memory, sink->name);
    choice = copychoice_make(&e);
    if (choice.verdict != COPYCHOICE_WAIT && choice.verdict != COPYCHOICE_ASK)
        return choice;
    look_at_source(d);
    e.slot = d->common.slot;
    e.target = look_at_target(d, sink, err);
    return copychoice_make(&e);
}

static void
log_choice(const struct deciding *d, struct sink_config *sink, const struct copychoice *choice)
{
    bool yes = choice->verdict == COPYCHOICE_YES;

    if (sink->choice_logged)
        return;
    sink->choice_logged = true;
    log_write(d->log, !yes && d->common.slot == EVIDENCE_SLOT_THEIRS ? LOG_WARNING : LOG_INFO,
              "sink %s: rows that tables have already are%s copied, since copy is not set and %s",
              sink->name, yes ? "" : " not", choice->why);
}

static enum copydefault_result
decide_sink(struct deciding *d, struct sink_config *sink, struct err *err)
{
    struct copychoice choice = choose(d, sink, err);

    switch (choice.verdict) {
    case COPYCHOICE_WAIT:
        *err = d->source;
        if (d->common.slot == EVIDENCE_SLOT_IN_USE)
            err_set(err, EXIT_PEER, "slot \"%s\" is in use", d->config->source.slot);
        return COPYDEFAULT_WAIT;
    case COPYCHOICE_ASK:
        return COPYDEFAULT_FAILED;
    case COPYCHOICE_YES:
    case COPYCHOICE_NO:
        break;
    }
    sink->copies = choice.verdict == COPYCHOICE_YES;
    log_choice(d, sink, &choice);
    return COPYDEFAULT_DECIDED;
}

/* ---- copy = only ---- */

/* Without a choice of the last run the target says whether the sink has followed. */
static int
may_be_only(struct deciding *d, const struct sink_config *sink, struct err *err)
{
    enum copy_choice last = remembered(d->memory, sink->name);

    if (last == COPY_ONLY)
        return 0;
    if (d->common.begun && last == COPY_UNSET && !d->common.remembers)
        last = COPY_NO;
    if (!d->common.begun || last == COPY_UNSET)
        switch (look_at_target(d, sink, err)) {
        case EVIDENCE_TARGET_UNKNOWN:
            return -1;
        case EVIDENCE_TARGET_NOTHING:
        case EVIDENCE_TARGET_COPIES:
            return 0;
        case EVIDENCE_TARGET_FOLLOWED:
            last = COPY_NO;
        }
    err_set(err, EXIT_REFUSED,
            "sink %s follows the source: the pipeline has run without copy = only, which would "
            "drop its slot",
            sink->name);
    return err_hint(err, "set copy = %s; to end the pipeline, stop it and run walpipe drop",
                    last == COPY_NO ? "no" : "yes");
}

static enum copydefault_result
decide_only(struct deciding *d, struct err *err)
{
    for (size_t i = 0; i < d->config->sinks_count; i++)
        if (may_be_only(d, &d->config->sinks[i], err) != 0)
            return COPYDEFAULT_FAILED;
    return COPYDEFAULT_DECIDED;
}

static enum copydefault_result
decide(struct deciding *d, struct err *err)
{
    enum copydefault_result result = COPYDEFAULT_DECIDED;

    if (read_state(d, err) != 0)
        return COPYDEFAULT_FAILED;
    if (d->config->only)
        result = decide_only(d, err);
    for (size_t i = 0; i < d->config->sinks_count && result == COPYDEFAULT_DECIDED; i++)
        if (d->config->sinks[i].copy_open && d->config->sinks[i].paused == 0)
            result = decide_sink(d, &d->config->sinks[i], err);
    copykeys_count(d->config);
    if (result == COPYDEFAULT_DECIDED && remember(d, err) != 0)
        return COPYDEFAULT_FAILED;
    return result;
}

enum copydefault_result
copydefault_decide(struct config *config, const char *programs, const struct log *log,
                   struct err *err)
{
    struct deciding d = {.config = config, .programs = programs, .log = log};
    enum copydefault_result result = decide(&d, err);

    free(d.memory);
    pool_free(&d.pool);
    return result;
}

struct copychoice
copydefault_look(const struct config *config, const struct sink_config *sink, bool slot_exists,
                 bool slot_active, const char *programs)
{
    struct config copy = *config;
    struct deciding d = {.config = &copy, .programs = programs};
    struct copychoice choice = {COPYCHOICE_ASK, "the state directory cannot be read"};
    struct err ignored = {0};

    if (read_state(&d, &ignored) == 0) {
        d.common.slot = slotlook_judge(&copy, &d.pool, slot_exists, slot_active);
        d.looked = true;
        choice = choose(&d, sink, &ignored);
    }
    free(d.memory);
    pool_free(&d.pool);
    return choice;
}

void
copydefault_recall(struct config *config)
{
    struct deciding d = {.config = config};
    struct err ignored = {0};

    if (config->copies_open && read_state(&d, &ignored) == 0)
        for (size_t i = 0; i < config->sinks_count; i++) {
            struct sink_config *sink = &config->sinks[i];

            if (!sink->copy_open)
                continue;
            sink->copies = remembered(d.memory, sink->name) >= COPY_YES;
        }
    copykeys_count(config);
    free(d.memory);
    pool_free(&d.pool);
}
