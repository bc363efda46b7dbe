/* copykeys.c: see copykeys.h. */
#include "walpipe/copykeys.h"

#include <string.h>

static int
refuse(const struct config *config, const struct sink_config *sink, const char *what,
       const char *hint, struct err *err)
{
    err_set(err, EXIT_REFUSED, "%s:%d: %s \"%s\"", config->path, sink->line, what, sink->name);
    return err_hint(err, "%s", hint);
}

/* [pipeline] decides for a sink that has no choice of its own. */
static enum copy_choice
choice_of(const struct config *config, const struct sink_config *sink)
{
    return sink->copy != COPY_UNSET ? sink->copy : config->copy;
}

/* A program of the user's reads version 1 of the stream, which has no rows without a commit. */
static bool
can_copy(enum sink_type type)
{
    return type != SINK_EXEC;
}

/* Keys of copied rows and of changes are compared as bytes, so a copy needs values as text. */
static bool
may_be_open(const struct config *config, const struct sink_config *sink)
{
    return can_copy(sink->type) && !config->source.binary;
}

/* A parked table comes back by a copy. Under copy = only the run would never end. */
static int
check_parking(const struct config *config, const struct sink_config *sink, struct err *err)
{
    enum copy_choice choice = choice_of(config, sink);

    if (sink->on_error == NULL || strcmp(sink->on_error, "park") != 0)
        return 0;
    if (!can_copy(sink->type))
        return refuse(config, sink, "only a sink of type pg or ch can park a table, not",
                      "set on_error = stop in its section, or leave it out", err);
    if (choice == COPY_ONLY)
        return refuse(config, sink, "on_error = park and copy = only exclude each other: sink",
                      "set on_error = stop, since the copy of a parked table would never end", err);
    if (choice == COPY_NO || config->source.binary)
        return refuse(config, sink, "on_error = park needs copy = yes: sink",
                      config->source.binary
                          ? "set binary = off in [source], which a copy needs, or on_error = stop"
                          : "set copy = yes in its section, which copies no table that it has "
                            "followed until now; or set on_error = stop",
                      err);
    return 0;
}

static int
choose_copy(struct config *config, struct sink_config *sink, struct err *err)
{
    enum copy_choice choice = choice_of(config, sink);

    if (check_parking(config, sink, err) != 0)
        return -1;
    sink->copy_open = choice == COPY_UNSET && may_be_open(config, sink);
    config->copies_open = config->copies_open || sink->copy_open;
    if (choice != COPY_YES && choice != COPY_ONLY)
        return 0;
    if (!can_copy(sink->type))
        return refuse(config, sink, "a sink of this type does not copy:",
                      choice == COPY_ONLY ? "give it a config file of its own"
                                          : "set copy = no in its section",
                      err);
    if (config->source.binary)
        return refuse(config, sink,
                      choice == COPY_ONLY ? "copy = only needs values as text: sink"
                                          : "copy = yes needs values as text: sink",
                      choice == COPY_ONLY
                          ? "set binary = off in [source]"
                          : "set binary = off in [source], or copy = no in the sink",
                      err);
    sink->copies = config->copies = true;
    return 0;
}

/* A sink that follows never comes to an end, and needs the slot. */
static int
choose_only(struct config *config, struct err *err)
{
    const struct sink_config *other = NULL;
    size_t count = 0;

    for (size_t i = 0; i < config->sinks_count; i++) {
        bool only = choice_of(config, &config->sinks[i]) == COPY_ONLY;

        count += only;
        if (!only)
            other = &config->sinks[i];
    }
    config->only = count == config->sinks_count;
    if (count == 0 || config->only)
        return 0;
    return refuse(config, other, "other sinks have copy = only, so this one must have it too:",
                  "set copy = only in [pipeline], or give the sinks that have it a config file of "
                  "their own, with another name, slot and state_dir",
                  err);
}

int
copykeys_apply(struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->sinks_count; i++)
        if (choose_copy(config, &config->sinks[i], err) != 0)
            return -1;
    return choose_only(config, err);
}

void
copykeys_count(struct config *config)
{
    config->copies = false;
    for (size_t i = 0; i < config->sinks_count; i++)
        config->copies = config->copies || config->sinks[i].copies;
}
