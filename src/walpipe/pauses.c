/* pauses.c: see pauses.h. */
#include "walpipe/pauses.h"

#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/statefile.h"

static const char *
path_of(const struct config *config, struct pool *pool, const char *sink)
{
    return pool_print(pool, "%s/" PAUSES_PREFIX "%s", config->state_dir, sink);
}

struct pause
pauses_now(void)
{
    struct pause pause = {.since = (uint64_t)time(NULL)};
    const struct passwd *user = getpwuid(geteuid());

    if (user != NULL)
        snprintf(pause.by, sizeof pause.by, "%s", user->pw_name);
    else
        snprintf(pause.by, sizeof pause.by, "user id %u", (unsigned)geteuid());
    return pause;
}

/* ---- one file ---- */

/* Whether text is a number above 0 and a name, in the form of the header. */
static bool
parse(const char *text, struct pause *pause)
{
    static const char since[] = "since=", by[] = "\nby=";
    const char *number = text + strlen(since), *name;
    size_t len;
    char *rest;

    if (strncmp(text, since, strlen(since)) != 0 || strspn(number, "0123456789") == 0 ||
        strspn(number, "0123456789") > 12)
        return false;
    pause->since = strtoull(number, &rest, 10);
    if (pause->since == 0 || strncmp(rest, by, strlen(by)) != 0)
        return false;
    name = rest + strlen(by);
    len = strcspn(name, "\n");
    if (len >= sizeof pause->by || strcmp(name + len, "\n") != 0)
        return false;
    memcpy(pause->by, name, len);
    return true;
}

static int
read_detached(const struct config *config, const char *sink, struct detachnote *note,
              struct err *err)
{
    if (detachnote_read(config->state_dir, sink, note, err) == 0)
        return 0;
    err->code = EXIT_REFUSED;
    return err_hint(err,
                    "walpipe resume -c %.300s --sink %s copies all tables of the sink again, and "
                    "removes the file",
                    config->path, sink);
}

int
pauses_read(const struct config *config, const char *sink, struct pause *pause, struct err *err)
{
    struct pool pool = {0};
    const char *path = path_of(config, &pool, sink);
    char *text = NULL;
    int rc = statefile_read(path, &text, err);

    *pause = (struct pause){0};
    if (rc != 0)
        err->code = EXIT_REFUSED;
    else if (text != NULL && !parse(text, pause))
        rc = err_set(err, EXIT_REFUSED, "\"%s\" does not have the form of a pause", path);
    if (rc != 0) {
        *pause = (struct pause){0};
        err_hint(err,
                 "walpipe pause -c %.300s --sink %s writes it again, and walpipe resume "
                 "removes it",
                 config->path, sink);
    }
    free(text);
    pool_free(&pool);
    if (rc == 0 && read_detached(config, sink, &pause->detached, err) != 0) {
        *pause = (struct pause){0};
        rc = -1;
    }
    return rc;
}

int
pauses_write(const struct config *config, const char *sink, const struct pause *pause,
             struct err *err)
{
    struct pool pool = {0};
    int rc = 0;

    if (pause->detached.since != 0)
        rc = detachnote_write(config->state_dir, sink, &pause->detached, err);
    if (rc == 0 && pause->since != 0)
        rc = statefile_write(
            path_of(config, &pool, sink),
            pool_print(&pool, "since=%llu\nby=%s\n", (unsigned long long)pause->since, pause->by),
            err);
    pool_free(&pool);
    return rc;
}

int
pauses_remove(const struct config *config, const char *sink, struct err *err)
{
    struct pool pool = {0};
    int rc = statefile_remove(path_of(config, &pool, sink), err);

    pool_free(&pool);
    return rc == 0 ? detachnote_remove(config->state_dir, sink, err) : -1;
}

/* ---- all files ---- */

static int
refuse_only(const struct config *config, const char *sink, bool detached, struct err *err)
{
    if (detached) {
        err_set(err, EXIT_REFUSED,
                "sink \"%s\" is detached, but with copy = only the pipeline would end without it",
                sink);
        return err_hint(err, "set copy = yes");
    }
    err_set(err, EXIT_REFUSED,
            "sink \"%s\" is paused, but with copy = only the pipeline would end without it", sink);
    return err_hint(err, "run walpipe resume -c %.300s --sink %s", config->path, sink);
}

static bool
is_known(const struct config *config, const char *sink)
{
    for (size_t i = 0; i < config->sinks_count; i++)
        if (strcmp(config->sinks[i].name, sink) == 0)
            return true;
    return false;
}

/* The changes since the pause would be lost for it, also if it came back. */
static int
refuse_unknown(const struct config *config, const char *sink, struct err *err)
{
    err_set(err, EXIT_REFUSED, "sink \"%s\" is paused, but %s has no section for it", sink,
            config->path);
    return err_hint(err,
                    "put [sink %s] back, and resume it before you remove it; or, if its target is "
                    "never to get the changes since the pause, remove \"%.300s/" PAUSES_PREFIX
                    "%s\"",
                    sink, config->state_dir, sink);
}

int
pauses_require_known(const struct config *config, struct err *err)
{
    DIR *dir = opendir(config->state_dir);
    const struct dirent *entry;
    int rc = 0;

    if (dir == NULL)
        return 0;
    /* The name of a sink has no dot, but that of a file that was not finished. */
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        const char *sink = entry->d_name + strlen(PAUSES_PREFIX);

        if (strncmp(entry->d_name, PAUSES_PREFIX, strlen(PAUSES_PREFIX)) == 0 &&
            strchr(sink, '.') == NULL && !is_known(config, sink))
            rc = refuse_unknown(config, sink, err);
    }
    closedir(dir);
    return rc;
}

static bool
is_aside(const struct pause *pause)
{
    return pause->since != 0 || pause->detached.since != 0;
}

/* Into the sink of the config. */
static void
apply(struct sink_config *sink, const struct pause *pause)
{
    sink->detached = pause->detached.since != 0;
    sink->paused = sink->detached ? pause->detached.since : pause->since;
    sink->lacks_from = pause->detached.lsn;
}

/* found has one element for each sink. */
static int
read_all(const struct config *config, struct pause *found, struct err *err)
{
    size_t paused = 0, detached = 0;

    if (pauses_require_known(config, err) != 0)
        return -1;
    for (size_t i = 0; i < config->sinks_count; i++) {
        if (pauses_read(config, config->sinks[i].name, &found[i], err) != 0)
            return -1;
        if (is_aside(&found[i]) && config->only)
            return refuse_only(config, config->sinks[i].name, found[i].detached.since != 0, err);
        paused += is_aside(&found[i]);
        detached += found[i].detached.since != 0;
    }
    if (paused == 0 || paused < config->sinks_count)
        return 0;
    err_set(err, EXIT_REFUSED, "every sink of %s is paused%s", config->path,
            detached > 0 ? " or detached" : "");
    return err_hint(err, "run walpipe resume -c %.300s --sink %s", config->path,
                    config->sinks[0].name);
}

int
pauses_apply(struct config *config, struct err *err)
{
    struct pool pool = {0};
    struct pause *found = pool_take(&pool, config->sinks_count * sizeof *found);
    int rc = read_all(config, found, err);

    for (size_t i = 0; i < config->sinks_count && rc == 0; i++)
        apply(&config->sinks[i], &found[i]);
    pool_free(&pool);
    return rc;
}

int
pauses_differ(const struct config *config, bool *differ, struct err *err)
{
    struct pool pool = {0};
    struct pause *found = pool_take(&pool, config->sinks_count * sizeof *found);
    int rc = read_all(config, found, err);

    *differ = false;
    for (size_t i = 0; i < config->sinks_count && rc == 0; i++)
        *differ = *differ || (config->sinks[i].paused != 0) != is_aside(&found[i]) ||
                  config->sinks[i].detached != (found[i].detached.since != 0);
    pool_free(&pool);
    return rc;
}

void
pauses_show(struct config *config)
{
    struct err ignored = {0};
    struct pause pause;

    for (size_t i = 0; i < config->sinks_count; i++)
        if (pauses_read(config, config->sinks[i].name, &pause, &ignored) == 0)
            apply(&config->sinks[i], &pause);
}
