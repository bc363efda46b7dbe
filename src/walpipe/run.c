/* run.c: see run.h. */
#include "walpipe/run.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "lib/backoff.h"
#include "lib/clock.h"
#include "lib/lasterror.h"
#include "lib/lsn.h"
#include "lib/sig.h"
#include "lib/statedir.h"
#include "lib/utctime.h"
#include "walpipe/copydefault.h"
#include "walpipe/layoutfile.h"
#include "walpipe/nofile.h"
#include "walpipe/notify.h"
#include "walpipe/only.h"
#include "walpipe/orphans.h"
#include "walpipe/passwords.h"
#include "walpipe/pauses.h"
#include "walpipe/pausetrial.h"
#include "walpipe/plan.h"
#include "walpipe/reload.h"
#include "walpipe/replaced.h"
#include "walpipe/schema.h"
#include "walpipe/unit.h"

#define BACKOFF_FIRST_MILLIS 100
/* With the sinks' own of at most 5 s. When everything is healthy again after a long outage, people
 * expect to see rows within seconds. */
#define BACKOFF_MOST_MILLIS 8000

/* A pipeline that lived this long was healthy, so the failures before are forgotten. */
#define HEALTH_MICROS (UINT64_C(10) * 1000 * 1000)

struct running {
    struct config *config;
    struct reload reload;
    struct pausetrial trial;
    struct log own_log; /* log_level may change */
    const struct log *log;
    struct plan_place place;
    struct orphans orphans;
    struct backoff backoff;
    struct notify notify;
    struct replaced replaced;
    char *const *argv;
    int signals;
    bool created;  /* the tables under create_tables */
    bool finished; /* under copy = only */
};

/* For copy = only. */
static int
choose_only(struct running *r, bool waited, struct err *err)
{
    enum only_look found = only_look(r->config, err);

    r->place.waits = found == ONLY_WAIT && !waited;
    r->place.slot_exists = found == ONLY_RUN;
    r->finished = found == ONLY_DONE;
    if (r->finished)
        only_log_done(r->config, r->log);
    return found == ONLY_FAILED || (found == ONLY_WAIT && waited) ? -1 : 0;
}

/* Decides about copies, also whether the programs are started only to wait until that is possible.
 * When they have waited for nothing, the reason is an error. */
static int
choose_copies(struct running *r, struct err *err)
{
    bool waited = r->place.waits;

    r->place.waits = false;
    switch (copydefault_decide(r->config, r->place.programs, r->log, err)) {
    case COPYDEFAULT_DECIDED:
        return r->config->only ? choose_only(r, waited, err) : 0;
    case COPYDEFAULT_WAIT:
        r->place.waits = !waited;
        return waited ? -1 : 0;
    case COPYDEFAULT_FAILED:
        break;
    }
    return -1;
}

/* Once is enough: a sink stops at a table that comes later and is missing. */
static int
create_tables(struct running *r, struct err *err)
{
    if (r->created)
        return 0;
    return schema_make_tables(r->config, r->log, &r->created, err);
}

static struct unit_end
note_failure(struct running *r, const struct err *err)
{
    lasterror_write(r->config->state_dir, r->log->program, err);
    log_failure(r->log, err);
    return (struct unit_end){.code = err->code, .why = *err};
}

/* Under copy = only, when everything has drained. */
static struct unit_end
finish(struct running *r, struct unit_end end)
{
    struct err err = {0};
    int finished = only_finish(r->config, r->log, &err);

    if (finished < 0)
        return note_failure(r, &err);
    r->finished = finished == 1;
    if (!r->finished)
        end.code = EXIT_PEER;
    return end;
}

static struct unit_end
live_planned(struct running *r)
{
    struct plan plan;
    struct unit_end end;

    plan_make(&plan, r->config, &r->place);
    end = unit_live(&plan, &r->reload, r->log, r->signals, &r->notify);
    if (end.program != NULL) {
        lasterror_write(r->config->state_dir, end.program, &end.why);
        notify_status(&r->notify, "%s: %s", end.program, end.why.message);
    }
    plan_free(&plan);
    orphans_end(&r->orphans);
    return end.copied ? finish(r, end) : end;
}

/* No program runs, so all of them are started with the same pauses. */
static int
take_pauses(struct running *r, struct err *err)
{
    if (pauses_apply(r->config, err) != 0)
        return -1;
    for (size_t i = 0; i < r->config->sinks_count; i++) {
        const struct sink_config *sink = &r->config->sinks[i];

        if (sink->detached)
            log_write(r->log, LOG_WARNING,
                      "sink %s is detached since %s and is not started; its tables lack the "
                      "changes after %s until walpipe resume -c %s --sink %s copies them again",
                      sink->name, utctime_at(sink->paused).text, lsn_format(sink->lacks_from).text,
                      r->config->path, sink->name);
        else if (sink->paused != 0)
            log_write(r->log, LOG_WARNING,
                      "sink %s is paused since %s and is not started; the source keeps the WAL for "
                      "it until walpipe resume -c %s --sink %s",
                      sink->name, utctime_at(sink->paused).text, r->config->path, sink->name);
    }
    if (pausetrial_begin(&r->trial, r->config))
        r->created = false;
    return 0;
}

static struct unit_end
live_once(struct running *r)
{
    struct err err = {0};

    if (passwords_read(r->config, &err) != 0) {
        log_write(r->log, LOG_WARNING, "%s; the password that was read before is used",
                  err.message);
        err = (struct err){0};
    }
    if (take_pauses(r, &err) != 0 || choose_copies(r, &err) != 0)
        return note_failure(r, &err);
    if (r->finished)
        return (struct unit_end){.code = EXIT_DONE};
    if (reload_write_limits(r->config, &err) != 0 || create_tables(r, &err) != 0 ||
        layoutfile_refresh(r->config, &r->place, r->log, &err) != 0)
        return note_failure(r, &err);
    return live_planned(r);
}

/* Returns true if a signal to stop came before millis were over. A new config, or another pause of
 * a sink, ends the wait. */
static bool
wait_or_stop(struct running *r, uint64_t millis)
{
    uint64_t deadline = clock_micros() + millis * 1000;

    while (clock_micros() < deadline && !r->reload.waiting && !r->reload.again) {
        struct pollfd waiting = {.fd = r->signals, .events = POLLIN};
        int signo;

        poll(&waiting, 1, clock_poll_timeout(notify_alive(&r->notify, deadline)));
        while ((signo = sig_read(r->signals)) != 0)
            if (signo == SIGHUP)
                (void)reload_read(&r->reload, r->log, 0);
            else if (signo == SIGUSR1)
                (void)reload_pauses(&r->reload, r->log);
            else if (signo != SIGCHLD)
                return true;
    }
    return false;
}

/* Returns only if walpipe's file is the one that runs, or if the new one cannot be started. The new
 * one would not know that a sink is resumed, which is on trial now. */
static void
become_new(struct running *r)
{
    struct err err = {0};

    if (r->reload.again || !replaced_seen(&r->replaced))
        return;
    log_write(r->log, LOG_INFO, "\"%s\" was replaced: it is started in this process's place",
              r->replaced.file);
    if (replaced_continue(&r->replaced, r->argv, &r->notify, r->place.restarts, &err) != 0)
        log_failure(r->log, &err);
}

/* Under copy = only 0 means that everything is copied. */
static int
code_of(const struct running *r, enum exit_code code)
{
    return code == EXIT_DONE && r->config->only && !r->finished ? EXIT_PEER : (int)code;
}

/* The config in force is another one than in the life before. */
static void
begin_config(struct running *r)
{
    struct err err = {0};

    log_begin(&r->own_log, r->config->log_level, r->config->log_format);
    r->created = false;
    r->place.waits = false;
    backoff_forget(&r->backoff);
    copydefault_recall(r->config);
    if (nofile_ensure(r->config->workers_count, &err) != 0)
        log_failure(r->log, &err);
}

/* Whether the programs start again at once with another config or other pauses, new ones, or those
 * before if the new ones were refused. */
static bool
has_other_config(struct running *r, const struct unit_end *end)
{
    struct err why = end->why;

    if (end->asked || r->finished)
        return false;
    if (r->reload.waiting || r->reload.again)
        return true;
    why.code = end->code;
    if (end->code == EXIT_DONE)
        return false;
    if (pausetrial_undo(&r->trial, r->config, end, r->log))
        return true;
    if (!reload_undo(&r->reload, &why, end->started, r->log))
        return false;
    begin_config(r);
    return true;
}

static int
live_and_restart(struct running *r)
{
    for (;;) {
        uint64_t started = clock_micros(), wait;
        struct unit_end end;
        bool again;

        r->reload.again = false;
        if (reload_take(&r->reload, r->log))
            begin_config(r);
        end = live_once(r);
        again =
            has_other_config(r, &end) || (r->place.waits && end.code == EXIT_DONE && !end.asked);
        pausetrial_note(&r->trial, r->config);
        if (again) {
            become_new(r);
            continue;
        }
        if (end.code == EXIT_DONE || end.code == EXIT_REFUSED || end.asked)
            return code_of(r, end.code);
        if (clock_micros() - started >= HEALTH_MICROS)
            backoff_forget(&r->backoff);
        wait = backoff_next(&r->backoff, backoff_random());
        r->place.restarts++;
        log_write(r->log, LOG_WARNING, "restarting the pipeline in %llu ms (restart %llu)",
                  (unsigned long long)wait, (unsigned long long)r->place.restarts);
        if (wait_or_stop(r, wait))
            return code_of(r, EXIT_DONE);
        become_new(r);
    }
}

/* A value may have come from a variable that nobody thought of. */
static void
log_variables(const struct running *r, struct pool *pool)
{
    if (r->config->variables != NULL)
        log_write(r->log, LOG_INFO, "%s takes from the environment: %s", r->config->path,
                  config_variables(r->config, pool));
}

/* Both descriptors are kept until the process ends, and with them the lock. */
static int
take_directory(const char *path, struct err *err)
{
    int dir;

    if (statedir_make_parents(path, err) != 0)
        return -1;
    dir = statedir_open(path, err);
    return dir < 0 || statedir_lock(dir, path, STATEDIR_WALPIPE, err) < 0 ? -1 : 0;
}

/* This run finds out for itself whether a login works. */
static void
forget_logins(const struct config *config, struct pool *pool)
{
    (void)unlink(plan_login_path(config, pool, NULL));
    for (size_t i = 0; i < config->sinks_count; i++)
        (void)unlink(plan_login_path(config, pool, &config->sinks[i]));
}

static int
prepare(struct running *r, struct pool *pool, struct err *err)
{
    r->place.env = (const char *const *)environ;
    log_variables(r, pool);
    r->signals = sig_open(SIG_CHILDREN | SIG_RELOAD | SIG_PAUSES, err);
    if (r->signals < 0)
        return -1;
    r->place.programs = plan_programs_directory(pool, err);
    if (r->place.programs == NULL || nofile_ensure(r->config->workers_count, err) != 0 ||
        take_directory(r->config->state_dir, err) != 0)
        return -1;
    replaced_watch(&r->replaced, pool);
    r->place.restarts = r->replaced.restarts;
    if (r->place.restarts == 0)
        forget_logins(r->config, pool);
    return 0;
}

int
run_pipeline(struct config *config, const struct log *log, int ready_fd, char *const *argv)
{
    struct running r = {
        .config = config,
        .reload.config = config,
        .own_log = *log,
        .argv = argv,
        .backoff = {.first_millis = BACKOFF_FIRST_MILLIS, .most_millis = BACKOFF_MOST_MILLIS},
    };
    struct pool pool = {0};
    struct err err = {0};
    int code;

    r.log = &r.own_log;
    notify_open(&r.notify, ready_fd);
    if (prepare(&r, &pool, &err) != 0) {
        code = log_failure(log, &err);
    } else {
        orphans_watch(&r.orphans);
        code = live_and_restart(&r);
        if (r.finished)
            log_write(r.log, LOG_INFO, "finished");
        else if (code == EXIT_DONE || (config->only && code == EXIT_PEER))
            log_write(r.log, LOG_INFO, "stopped%s",
                      config->only ? " before everything was copied" : "");
    }
    reload_free(&r.reload);
    pausetrial_free(&r.trial);
    pool_free(&pool);
    return code;
}
