/* run.c: see run.h. */
#include "walpipe/run.h"

#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/sig.h"
#include "lib/statedir.h"
#include "walpipe/backoff.h"
#include "walpipe/nofile.h"
#include "walpipe/orphans.h"
#include "walpipe/plan.h"
#include "walpipe/unit.h"

struct running {
    const struct config *config;
    const struct log *log;
    struct plan_place place;
    struct orphans orphans;
    struct backoff backoff;
    int signals;
};

static struct unit_end
live_once(struct running *r)
{
    struct plan plan;
    struct unit_end end;

    plan_make(&plan, r->config, &r->place);
    end = unit_live(&plan, r->log, r->signals);
    plan_free(&plan);
    orphans_end(&r->orphans);
    return end;
}

/* True when a signal to stop came before millis were over. */
static bool
wait_or_stop(struct running *r, uint64_t millis)
{
    uint64_t deadline = clock_micros() + millis * 1000;

    while (clock_micros() < deadline) {
        struct pollfd waiting = {.fd = r->signals, .events = POLLIN};
        int signo;

        poll(&waiting, 1, clock_poll_timeout(deadline));
        while ((signo = sig_read(r->signals)) != 0)
            if (signo != SIGCHLD)
                return true;
    }
    return false;
}

static int
live_and_restart(struct running *r)
{
    for (;;) {
        uint64_t started = clock_micros(), wait;
        struct unit_end end = live_once(r);
        uint32_t random = 0;

        if (end.code == EXIT_DONE || end.code == EXIT_REFUSED || end.asked)
            return (int)end.code;
        /* Without random bits the wait is only less spread. */
        (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
        wait = backoff_next(&r->backoff, (clock_micros() - started) / 1000, random);
        r->place.restarts++;
        log_write(r->log, LOG_WARNING, "restarting the pipeline in %llu ms (restart %llu)",
                  (unsigned long long)wait, (unsigned long long)r->place.restarts);
        if (wait_or_stop(r, wait))
            return EXIT_DONE;
    }
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

static int
prepare(struct running *r, struct pool *pool, struct err *err)
{
    r->place.env = (const char *const *)environ;
    r->place.programs = plan_programs_directory(pool, err);
    if (r->place.programs == NULL || nofile_ensure(r->config->workers_count, err) != 0 ||
        take_directory(r->config->state_dir, err) != 0)
        return -1;
    r->signals = sig_open(true, err);
    return r->signals < 0 ? -1 : 0;
}

int
run_pipeline(const struct config *config, const struct log *log)
{
    struct running r = {.config = config, .log = log};
    struct pool pool = {0};
    struct err err = {0};
    int code;

    if (prepare(&r, &pool, &err) != 0) {
        code = log_failure(log, &err);
    } else {
        orphans_watch(&r.orphans);
        code = live_and_restart(&r);
        if (code == EXIT_DONE)
            log_write(log, LOG_INFO, "stopped");
    }
    pool_free(&pool);
    return code;
}
