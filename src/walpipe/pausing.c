/* pausing.c: see pausing.h. The file is on disk before walpipe run is told, so a command that is
 * killed leaves a pause, or its end, for the next start of the programs. */
#include "walpipe/pausing.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/lockfile.h"
#include "lib/statedir.h"
#include "lib/utctime.h"
#include "walpipe/amount.h"
#include "walpipe/attach.h"
#include "walpipe/pauselook.h"
#include "walpipe/pauses.h"
#include "walpipe/reloadnote.h"
#include "walpipe/status.h"

/* As long as walpipe reload waits. */
#define PATIENCE_MILLIS 60000
#define LOOK_MILLIS     100

/* A sink that refuses its target does so right after it has reached it. */
#define SETTLED_MILLIS 3000

#define MICROS(millis) (UINT64_C(1000) * (millis))

#define LOCK_NAME "pause.lock"

struct pausing {
    const struct config *config;
    const struct log *log;
    struct pause *before; /* of each sink of the config, as it was */
    bool *chosen;         /* likewise, the sinks that the command is about */
    bool pauses;          /* it is walpipe pause */
    uint64_t answered;    /* the number of walpipe run's last answer before */
    uint64_t since;       /* clock_micros() when it was in force, 0 if it is not */
    struct ack_status *status;
};

/* ---- the programs ---- */

/* Of a program that does not know the signal, it would be the end. */
static bool
blocks_signal(pid_t pid)
{
    char path[64], line[256];
    unsigned long long mask = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "SigBlk: %llx", &mask) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (mask >> (SIGUSR1 - 1) & 1) != 0;
}

/* ackd answers although no walpipe run is there. */
static int
refuse_tree(const struct pausing *p, struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "the pipeline's programs run without walpipe run, which would have "
            "to start them again");
    return err_hint(err,
                    "stop them and run this command again; walpipe print -c %.300s then "
                    "shows the programs to start",
                    p->config->path);
}

static int
check_programs(const struct pausing *p, struct err *err)
{
    pid_t pid = statedir_runner(p->config->state_dir);
    struct err ignored = {0};

    if (pid == 0)
        return status_ask(p->config, p->status, &ignored) == 0 ? refuse_tree(p, err) : 0;
    if (blocks_signal(pid) || statedir_runner(p->config->state_dir) != pid)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the walpipe that runs, pid %d, is too old for this command, or "
            "just starting",
            (int)pid);
    return err_hint(err, "restart it and try again");
}

static bool
is_of_chosen(const struct pausing *p, const struct ack_worker_status *w)
{
    for (size_t i = 0; i < p->config->sinks_count; i++)
        if (p->chosen[i] && strcmp(p->config->sinks[i].name, w->sink) == 0)
            return true;
    return false;
}

static bool
is_as_wanted(const struct pausing *p, const struct ack_worker_status *w)
{
    return p->pauses ? w->paused_since != 0 : w->registered && w->target_alive;
}

/* Also where the config in force has other sinks than the file. */
static bool
is_in_force(struct pausing *p)
{
    struct err ignored = {0};

    if (status_ask(p->config, p->status, &ignored) != 0)
        return false;
    for (uint32_t i = 0; i < p->status->workers_count; i++)
        if (is_of_chosen(p, &p->status->workers[i]) && !is_as_wanted(p, &p->status->workers[i]))
            return false;
    return p->pauses || p->status->source_alive;
}

static bool
others_run(const struct pausing *p)
{
    for (uint32_t i = 0; i < p->status->workers_count; i++)
        if (!p->status->workers[i].registered && p->status->workers[i].paused_since == 0)
            return false;
    return p->status->source_alive;
}

/* A resume counts after some time in good health. A pause counts when the others run again, and
 * after the same time also if they do not, since their targets may be down. */
static bool
is_done(struct pausing *p)
{
    if (!is_in_force(p)) {
        p->since = 0;
        return false;
    }
    if (p->since == 0)
        p->since = clock_micros();
    return (p->pauses && others_run(p)) || clock_micros() - p->since >= MICROS(SETTLED_MILLIS);
}

static int
set_ended(const struct pausing *p, struct err *err)
{
    err_set(err, EXIT_PEER, "walpipe run has ended meanwhile; %s",
            p->pauses ? "the sink is paused, and the next start leaves it out"
                      : "the pause has ended, and the next start begins with the sink");
    return err_hint(err, "its log says why it has ended");
}

static int
set_late(const struct pausing *p, struct err *err)
{
    err_set(err, EXIT_PEER, "%s within %d seconds",
            p->pauses ? "the sink is paused, but the programs have not started without it"
                      : "the pause has ended, but the sink has not reached its target",
            PATIENCE_MILLIS / 1000);
    return err_hint(err, "see walpipe status, and the log of walpipe run");
}

/* Tells walpipe run, if there is one, and waits for it. Returns -1 with err, *refused if it goes on
 * as before. */
static int
put_in_force(struct pausing *p, bool *refused, struct err *err)
{
    uint64_t deadline = clock_micros() + MICROS(PATIENCE_MILLIS);
    pid_t pid = statedir_runner(p->config->state_dir);
    struct reloadnote note;

    if (pid == 0 || !blocks_signal(pid) || kill(pid, SIGUSR1) != 0)
        return 0;
    while (!is_done(p)) {
        reloadnote_read(p->config, &note);
        *refused = note.number != p->answered && note.outcome == RELOAD_REFUSED;
        if (*refused) {
            *err = note.why;
            return -1;
        }
        if (!statedir_is_run(p->config->state_dir))
            return set_ended(p, err);
        if (clock_micros() >= deadline)
            return set_late(p, err);
        poll(NULL, 0, LOOK_MILLIS);
    }
    return 0;
}

/* ---- a detached sink ---- */

static bool
is_detached(const struct pausing *p, size_t i)
{
    return p->before[i].detached.since != 0;
}

static bool
is_aside(const struct pausing *p, size_t i)
{
    return p->before[i].since != 0 || is_detached(p, i);
}

static int
attach(const struct pausing *p, struct err *err)
{
    for (size_t i = 0; i < p->config->sinks_count; i++) {
        const struct sink_config *sink = &p->config->sinks[i];

        if (!p->chosen[i] || p->pauses || !is_detached(p, i))
            continue;
        if (attach_sink(p->config, sink, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- the files ---- */

static int
write_one(const struct pausing *p, size_t i, bool paused, struct err *err)
{
    struct pause pause = is_aside(p, i) ? p->before[i] : pauses_now();
    const char *sink = p->config->sinks[i].name;

    return paused ? pauses_write(p->config, sink, &pause, err)
                  : pauses_remove(p->config, sink, err);
}

static int
write_all(const struct pausing *p, struct err *err)
{
    for (size_t i = 0; i < p->config->sinks_count; i++)
        if (p->chosen[i] && write_one(p, i, p->pauses, err) != 0)
            return -1;
    return 0;
}

static void
take_back(const struct pausing *p)
{
    struct err err = {0};

    for (size_t i = 0; i < p->config->sinks_count; i++)
        if (p->chosen[i] && write_one(p, i, is_aside(p, i), &err) != 0)
            log_failure(p->log, &err);
}

static int
carry_out(struct pausing *p, struct err *err)
{
    struct reloadnote note;
    bool refused = false;

    reloadnote_read(p->config, &note);
    p->answered = note.number;
    if (check_programs(p, err) != 0 || attach(p, err) != 0 || write_all(p, err) != 0)
        return -1;
    if (put_in_force(p, &refused, err) == 0)
        return 0;
    if (refused)
        take_back(p);
    return -1;
}

/* ---- pause ---- */

static int
choose(struct pausing *p, const char *sink, struct err *err)
{
    bool found = false;

    for (size_t i = 0; i < p->config->sinks_count; i++) {
        p->chosen[i] = sink == NULL ? p->before[i].since != 0 && !is_detached(p, i)
                                    : strcmp(p->config->sinks[i].name, sink) == 0;
        found = found || p->chosen[i];
    }
    if (found || sink == NULL)
        return 0;
    return err_set(err, EXIT_REFUSED, "%s has no sink \"%s\"", p->config->path, sink);
}

/* After a file could not be read. If it is not known whether the sink is detached, it is. */
static void
recall_detached(struct pausing *p, size_t i)
{
    struct detachnote *note = &p->before[i].detached;
    struct err ignored = {0};

    if (detachnote_read(p->config->state_dir, p->config->sinks[i].name, note, &ignored) != 0)
        *note = (struct detachnote){.since = p->before[i].since, .why = "the file was damaged"};
}

/* The pauses are a sink's only while nobody else changes them. A file of the chosen sink that
 * cannot be read is written anew, or removed. */
static int
read_before(struct pausing *p, const char *sink, struct err *err)
{
    for (size_t i = 0; i < p->config->sinks_count; i++) {
        const char *name = p->config->sinks[i].name;

        if (pauses_read(p->config, name, &p->before[i], err) == 0)
            continue;
        if (sink == NULL || strcmp(sink, name) != 0)
            return -1;
        p->before[i] = pauses_now();
        recall_detached(p, i);
        *err = (struct err){0};
        log_write(p->log, LOG_WARNING, "the file of the pause of sink %s could not be read", name);
    }
    return 0;
}

static int
check_others(const struct pausing *p, const char *sink, struct err *err)
{
    if (p->config->only) {
        err_set(err, EXIT_REFUSED,
                "with copy = only no sink can be paused: walpipe run drops the "
                "slot when it has copied everything into all sinks");
        return err_hint(err, "stop walpipe run instead; its next start continues the copies");
    }
    for (size_t i = 0; i < p->config->sinks_count; i++)
        if (p->chosen[i] && is_detached(p, i)) {
            err_set(err, EXIT_REFUSED, "sink \"%s\" is detached since %s", sink,
                    utctime_at(p->before[i].detached.since).text);
            return err_hint(err, "walpipe resume -c %.300s --sink %s brings it back",
                            p->config->path, sink);
        }
    for (size_t i = 0; i < p->config->sinks_count; i++)
        if (!p->chosen[i] && !is_aside(p, i))
            return 0;
    err_set(err, EXIT_REFUSED, "sink \"%s\" is the only one that is not paused", sink);
    return err_hint(err,
                    "stop walpipe run instead; the source keeps the WAL until it starts again");
}

/* They have no progress in their target, or not for every table. */
static void
say_repeats(const struct config *config)
{
    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];

        if (sink->type == SINK_EXEC)
            printf("at each restart until the resume, and at the resume, sink %s gets the changes "
                   "since this pause again\n",
                   sink->name);
        else if (sink->type == SINK_CH)
            printf("at each restart until the resume, and at the resume, a table of sink %s that "
                   "has neither a key nor a version column gets its rows since this pause again\n",
                   sink->name);
    }
}

/* Before the source loses the slot. */
static void
say_limit(const struct config *config, const char *sink)
{
    for (size_t i = 0; i < config->sinks_count; i++)
        if (strcmp(config->sinks[i].name, sink) == 0 && config->sinks[i].detach_after != 0)
            printf(
                "beyond %s of WAL the sink is detached, and comes back only by a copy of all its "
                "tables (detach_after)\n",
                amount_bytes(config->sinks[i].detach_after).text);
}

static void
say_paused(const struct pausing *p, const char *sink, const struct pauselook *look)
{
    const struct config *config = p->config;

    printf("sink %s is paused%s\n", sink,
           statedir_is_run(config->state_dir) ? ", and the other sinks go on"
                                              : ": the next start leaves it out");
    if (look->known && strcmp(look->keep_size, "-1") != 0)
        printf("the source keeps the WAL for it, at most %s (max_slot_wal_keep_size); beyond that "
               "the slot is lost for all sinks\n",
               look->keep_size);
    else
        printf("the source keeps the WAL for it%s: watch its disk\n",
               look->known ? " without a limit (max_slot_wal_keep_size)" : "");
    say_limit(config, sink);
    say_repeats(config);
    printf("another walpipe that waits for the slot does not know of this pause\n"
           "walpipe resume -c %s --sink %s ends it\n",
           config->path, sink);
}

static int
begin(struct pausing *p, const char *sink, struct err *err)
{
    struct pauselook look = {0};

    if (sink == NULL) {
        err_set(err, EXIT_REFUSED, "no sink: walpipe pause needs --sink NAME");
        return err_hint(err, "to pause all of them, stop walpipe run");
    }
    if (read_before(p, sink, err) != 0 || choose(p, sink, err) != 0 ||
        check_others(p, sink, err) != 0 || pauselook_ask(&look, p->config, p->log, err) != 0 ||
        carry_out(p, err) != 0)
        return -1;
    say_paused(p, sink, &look);
    return 0;
}

/* ---- resume ---- */

static int
end(struct pausing *p, const char *sink, struct err *err)
{
    bool runs, any = false;

    if (read_before(p, sink, err) != 0 || choose(p, sink, err) != 0 || carry_out(p, err) != 0)
        return -1;
    runs = statedir_is_run(p->config->state_dir);
    for (size_t i = 0; i < p->config->sinks_count; i++) {
        if (!p->chosen[i])
            continue;
        any = true;
        if (is_detached(p, i))
            printf(
                "sink %s, detached since %s, %s, and copies all its tables again; walpipe tables "
                "shows how far it is\n",
                p->config->sinks[i].name, utctime_at(p->before[i].detached.since).text,
                runs ? "runs again" : "runs again from the next start on");
        else if (p->before[i].since == 0)
            printf("sink %s was not paused\n", p->config->sinks[i].name);
        else
            printf("sink %s, paused since %s, %s\n", p->config->sinks[i].name,
                   utctime_at(p->before[i].since).text,
                   runs ? "runs again" : "runs again from the next start on");
    }
    if (!any)
        printf("no sink is paused\n");
    for (size_t i = 0; i < p->config->sinks_count && sink == NULL; i++)
        if (is_detached(p, i))
            printf("sink %s is detached, and only walpipe resume -c %s --sink %s brings it back\n",
                   p->config->sinks[i].name, p->config->path, p->config->sinks[i].name);
    return 0;
}

/* ---- both ---- */

static int
take_lock(const struct config *config, struct pool *pool, struct err *err)
{
    const char *path = config->state_dir;
    int dir, lock;

    if (statedir_make_parents(path, err) != 0)
        return -1;
    dir = statedir_open(path, err);
    if (dir < 0)
        return -1;
    lock = lockfile_take(dir, LOCK_NAME, pool_print(pool, "%s/" LOCK_NAME, path), err);
    close(dir);
    if (lock != LOCKFILE_HELD)
        return lock;
    err_set(err, EXIT_PEER, "another walpipe pause or resume of this pipeline is at work");
    (void)err_hint(err, "try again when it has ended");
    return -1;
}

static int
run(const struct config *config, const struct log *log, const char *sink, bool pauses)
{
    struct pool pool = {0};
    struct pausing p = {.config = config, .log = log, .pauses = pauses};
    struct err err = {0};
    int code = EXIT_DONE, lock = take_lock(config, &pool, &err);

    p.before = pool_take(&pool, config->sinks_count * sizeof *p.before);
    p.chosen = pool_take(&pool, config->sinks_count * sizeof *p.chosen);
    p.status = pool_take(&pool, sizeof *p.status);
    if (lock < 0 || (pauses ? begin : end)(&p, sink, &err) != 0)
        code = log_failure(log, &err);
    if (lock >= 0)
        close(lock);
    pool_free(&pool);
    return code;
}

int
pause_sink(const struct config *config, const struct log *log, const char *sink)
{
    return run(config, log, sink, true);
}

int
pause_end(const struct config *config, const struct log *log, const char *sink)
{
    return run(config, log, sink, false);
}
