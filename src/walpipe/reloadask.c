/* reloadask.c: see reloadask.h. */
#include "walpipe/reloadask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ackmsg.h"
#include "lib/clock.h"
#include "lib/statedir.h"
#include "walpipe/reloadnote.h"
#include "walpipe/status.h"

/* The programs drain for some seconds while a target is down, and the new ones have to reach their
 * servers. */
#define PATIENCE_MILLIS 60000
#define LOOK_MILLIS     100

/* A sink looks at its target's tables right after it has reached it. A refusal comes within this
 * time. */
#define HEALTHY_MILLIS 3000

#define MICROS(millis) (UINT64_C(1000) * (millis))

struct asking {
    const struct config *config;
    struct ack_status *status;
    uint64_t asked; /* the number of the last answer before */
    struct reloadnote note;
    uint64_t healthy_since; /* clock_micros(), 0 if it is not healthy */
};

static bool
is_healthy(struct asking *a)
{
    struct err ignored = {0};

    if (status_ask(a->config, a->status, &ignored) != 0 || !a->status->source_alive)
        return false;
    for (uint32_t i = 0; i < a->status->workers_count; i++)
        if (!a->status->workers[i].target_alive && a->status->workers[i].paused_since == 0)
            return false;
    return true;
}

/* Returns whether there is an outcome. */
static bool
look(struct asking *a)
{
    reloadnote_read(a->config, &a->note);
    if (a->note.number == a->asked)
        return false;
    if (a->note.outcome != RELOAD_STARTED)
        return true;
    if (!is_healthy(a))
        a->healthy_since = 0;
    else if (a->healthy_since == 0)
        a->healthy_since = clock_micros();
    return a->healthy_since != 0 && clock_micros() - a->healthy_since >= MICROS(HEALTHY_MILLIS);
}

static int
wait_for_outcome(struct asking *a, struct err *err)
{
    uint64_t deadline = clock_micros() + MICROS(PATIENCE_MILLIS);

    while (!look(a)) {
        if (!statedir_is_run(a->config->state_dir)) {
            err_set(err, EXIT_PEER, "walpipe has ended before it used the new config");
            return err_hint(err, "its log says why");
        }
        if (clock_micros() >= deadline) {
            err_set(err, EXIT_PEER,
                    a->note.number == a->asked
                        ? "walpipe has not taken the new config within %d seconds"
                        : "the programs run with the new config, but did not reach all servers "
                          "within %d seconds",
                    PATIENCE_MILLIS / 1000);
            return err_hint(err, "see walpipe status, and the log of walpipe run");
        }
        poll(NULL, 0, LOOK_MILLIS);
    }
    if (a->note.outcome != RELOAD_REFUSED)
        return 0;
    *err = a->note.why;
    return -1;
}

static int
ask(struct asking *a, struct err *err)
{
    pid_t pid = statedir_runner(a->config->state_dir);

    reloadnote_read(a->config, &a->note);
    a->asked = a->note.number;
    if (pid > 0 && kill(pid, SIGHUP) == 0)
        return wait_for_outcome(a, err);
    return err_set(err, EXIT_PEER, "could not tell walpipe to read its config file again: %s",
                   pid <= 0 ? "the pipeline does not run" : strerror(errno));
}

int
reloadask_run(const struct config *config, const struct log *log)
{
    struct asking a = {.config = config, .status = calloc(1, sizeof *a.status)};
    struct err err = {0};
    int code = EXIT_DONE;

    if (a.status == NULL) {
        err_set(&err, EXIT_PEER, "out of memory for the status");
        code = log_failure(log, &err);
    } else if (ask(&a, &err) != 0) {
        code = log_failure(log, &err);
    } else {
        printf("the pipeline runs with %s now; the log of walpipe run says what has changed\n",
               config->path);
    }
    free(a.status);
    return code;
}
