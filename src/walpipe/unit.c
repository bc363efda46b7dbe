/* unit.c: see unit.h.
 *
 *     RUNNING   --SIGTERM, or a child ended with 0-->    DRAINING
 *     DRAINING  --a child failed, or the reader ended--> ENDING
 *     ENDING    --UNIT_NOTICE_MILLIS-->                  all killed
 *
 * A failed child leads from everywhere to ENDING. Only pg-wal-read is told to stop. The others wait
 * for the stream's `end` (trap 142). If pg-table-read alone ends with 0, the pipeline is drained
 * after UNIT_NOTICE_MILLIS and starts again. A new config or a pause drains it too. In a plan that
 * only waits, the end of pg-wal-read ends all at once, since nothing was begun. */
#include "walpipe/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/sig.h"
#include "walpipe/lastwords.h"
#include "walpipe/spawn.h"
#include "walpipe/startup.h"

/* cause_rank() is from 0 to this. */
#define RANK_MOST 6

enum unit_state { UNIT_RUNNING, UNIT_DRAINING, UNIT_ENDING };

struct child {
    const struct plan_program *program;
    pid_t pid;    /* 0 if not started */
    bool ended;   /* and reaped */
    bool unnoted; /* note_end() has yet to see it */
    bool killed;  /* by kill_all() */
    size_t order; /* number of children that ended before it */
    int status;   /* waitpid's */
};

struct unit {
    struct reload *reload;
    const struct log *log;
    struct notify *notify;
    struct child *children; /* as plan->programs */
    size_t count;
    size_t reader; /* pg-wal-read's place among them */
    size_t alive;
    enum unit_state state;
    uint64_t deadline; /* of the state, on clock_micros(), 0 if none */
    bool waits;        /* the plan only waits for the slot */
    bool asked;
    uint64_t asked_at;   /* clock_micros() */
    bool failed;         /* a child failed, and the pipeline ends because of it */
    bool failed_unasked; /* and that was before the signal to stop */
    bool forced;         /* killed before it had drained */
    bool renew;          /* drained for a new config, or for other pauses */
    bool again;          /* drained because pg-table-read ended before the stream */
    bool only;           /* its end is that of the run */
    bool copied;         /* and it has come */
    size_t ended;
    const char *program; /* unit_end's */
    const struct sink_config *sink;
    struct err why;
};

/* ---- start ---- */

static int
start_all(struct unit *u, const struct plan *plan, struct err *err)
{
    pid_t *pids = calloc(u->count, sizeof *pids);
    int result;

    if (pids == NULL)
        return err_set(err, EXIT_PEER, "out of memory for %zu programs", u->count);
    result = startup_programs(plan, u->log, pids, err);
    for (size_t i = 0; i < u->count; i++) {
        u->children[i].pid = pids[i];
        u->alive += pids[i] > 0;
    }
    free(pids);
    return result;
}

/* ---- end ---- */

static struct child *
reader(struct unit *u)
{
    return &u->children[u->reader];
}

static bool
is_alive(const struct child *c)
{
    return c->pid > 0 && !c->ended;
}

static void
enter(struct unit *u, enum unit_state state, uint64_t millis)
{
    u->state = state;
    u->deadline = clock_micros() + millis * 1000;
}

static void
kill_all(struct unit *u)
{
    for (size_t i = 0; i < u->count; i++) {
        struct child *c = &u->children[i];

        if (!is_alive(c))
            continue;
        /* A foreign program's helpers are in its group. The pid is not reused before waitpid. */
        if (c->program->foreign)
            kill(-c->pid, SIGKILL);
        kill(c->pid, SIGKILL);
        c->killed = true;
    }
    u->deadline = 0;
}

static void
list_alive(const struct unit *u, char *list, size_t size)
{
    size_t at = 0;

    list[0] = '\0';
    for (size_t i = 0; i < u->count && at < size; i++)
        if (is_alive(&u->children[i]))
            at += (size_t)snprintf(list + at, size - at, "%s%s", at == 0 ? "" : ", ",
                                   u->children[i].program->label);
}

struct end_text {
    char text[256];
};

/* "sink a/0 (pid 12) ended with exit code 100" */
static struct end_text
describe_end(const struct child *c)
{
    int signo = WIFSIGNALED(c->status) ? WTERMSIG(c->status) : 0;
    struct end_text out;

    if (signo != 0)
        snprintf(out.text, sizeof out.text, "%s (pid %d) was killed by signal %d (%s)",
                 c->program->label, (int)c->pid, signo, strsignal(signo));
    else
        snprintf(out.text, sizeof out.text, "%s (pid %d) ended with exit code %d",
                 c->program->label, (int)c->pid, WEXITSTATUS(c->status));
    return out;
}

/* pg-wal-read was told to stop before its first step, and that ended it. */
static bool
ended_before_begin(const struct unit *u, const struct child *c)
{
    return (u->asked || u->renew) && c == &u->children[u->reader] && WIFSIGNALED(c->status) &&
           WTERMSIG(c->status) == SIGTERM;
}

/* The culprit is known only when all have ended, see log_culprit(). */
static void
note_end(struct unit *u, struct child *c)
{
    bool failed = spawn_exit_code(c->status) != 0;
    bool news = failed && (u->state != UNIT_ENDING || u->deadline != 0);

    c->order = u->ended++;
    log_write(u->log, news ? LOG_INFO : LOG_DEBUG, "%s%s", describe_end(c).text,
              ended_before_begin(u, c) ? " before it had begun" : "");
    if (u->state == UNIT_ENDING)
        return;
    if (u->waits && c == reader(u) && !failed) {
        enter(u, UNIT_ENDING, 0);
        kill_all(u);
        return;
    }
    u->failed = failed && !ended_before_begin(u, c);
    u->failed_unasked = u->failed && !u->asked;
    if (failed || c == reader(u))
        enter(u, UNIT_ENDING, UNIT_NOTICE_MILLIS);
    else if (u->state == UNIT_RUNNING && c->program->role == PLAN_TABLE_READER)
        enter(u, UNIT_RUNNING, UNIT_NOTICE_MILLIS); /* the others follow if the stream has ended */
    else if (u->state == UNIT_RUNNING)
        enter(u, UNIT_DRAINING, UNIT_DRAIN_MILLIS); /* somebody told pg-wal-read to stop */
}

/* Several children may be found ended together. The more likely cause comes first. That is a
 * signal, then a refusal or a bug, and last an end that follows from a missing neighbour. Among
 * these, programs with a peer of their own come before those that only have neighbours. ackd, which
 * ends with any other program, is last. */
static int
cause_rank(const struct child *c)
{
    static const int by_role[] = {[PLAN_ACKD] = 0,   [PLAN_ROUTE] = 1,  [PLAN_DECODE] = 1,
                                  [PLAN_WORKER] = 2, [PLAN_READER] = 3, [PLAN_TABLE_READER] = 3};
    int code = spawn_exit_code(c->status);

    return code == 0                ? 0
           : WIFSIGNALED(c->status) ? RANK_MOST
           : code != EXIT_PEER      ? RANK_MOST - 1
                                    : 1 + by_role[c->program->role];
}

static void
reap(struct unit *u)
{
    int status;
    pid_t pid;

    /* -1 also reaps the orphans of foreign programs. */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < u->count; i++) {
            struct child *c = &u->children[i];

            if (c->pid != pid || c->ended)
                continue;
            c->ended = c->unnoted = true;
            c->status = status;
            u->alive--;
        }
    for (int rank = RANK_MOST; rank >= 0; rank--)
        for (size_t i = 0; i < u->count; i++)
            if (u->children[i].unnoted && cause_rank(&u->children[i]) == rank) {
                u->children[i].unnoted = false;
                note_end(u, &u->children[i]);
            }
}

static void
note_asked(struct unit *u)
{
    u->asked = true;
    u->asked_at = clock_micros();
}

/* timeout(1), or a supervisor that signals the group and the process, sends one signal twice. */
static void
stop(struct unit *u)
{
    if (u->asked && clock_micros() - u->asked_at < UINT64_C(1000) * UNIT_ONCE_MILLIS)
        return;
    if (u->asked || u->state == UNIT_ENDING) {
        if (u->state != UNIT_ENDING) {
            u->forced = true;
            log_write(u->log, LOG_WARNING,
                      "second signal: killing the pipeline before it has drained; the source sends "
                      "the rest again at the next start");
            enter(u, UNIT_ENDING, 0);
        }
        kill_all(u);
        note_asked(u);
        return;
    }
    note_asked(u);
    if (!u->renew && is_alive(reader(u)))
        kill(reader(u)->pid, SIGTERM);
    log_write(u->log, LOG_INFO, "draining the pipeline");
    notify_stopping(u->notify);
    if (u->state == UNIT_RUNNING || u->renew)
        enter(u, UNIT_DRAINING, UNIT_DRAIN_MILLIS);
}

/* Everything is copied, or somebody told pg-table-read to stop. Without it no table is copied. */
static void
drain_without_reader(struct unit *u)
{
    if (u->only)
        log_write(u->log, LOG_INFO, "every table is copied: draining the pipeline");
    else
        log_write(
            u->log, LOG_WARNING,
            "pg-table-read has ended before the stream: draining the pipeline to start it again");
    u->copied = u->only;
    u->again = !u->only;
    kill(reader(u)->pid, SIGTERM);
    enter(u, UNIT_DRAINING, UNIT_DRAIN_MILLIS);
}

/* For a new config, or for other pauses. An older one that waits for the same end is only replaced.
 */
static void
renew(struct unit *u)
{
    if (u->state != UNIT_RUNNING)
        return;
    u->renew = true;
    if (is_alive(reader(u)))
        kill(reader(u)->pid, SIGTERM);
    enter(u, UNIT_DRAINING, UNIT_RENEW_MILLIS);
}

static void
deadline_passed(struct unit *u)
{
    char list[512];

    if (u->state == UNIT_RUNNING) {
        drain_without_reader(u);
        return;
    }
    list_alive(u, list, sizeof list);
    if (u->state == UNIT_DRAINING && u->renew && !u->asked) {
        log_write(u->log, LOG_WARNING,
                  "could not drain the pipeline within %d seconds, killing: %s; the source sends "
                  "the rest again after the next start",
                  UNIT_RENEW_MILLIS / 1000, list);
        u->state = UNIT_ENDING;
    } else if (u->state == UNIT_DRAINING) {
        u->forced = true;
        u->program = u->log->program;
        err_set(&u->why, EXIT_PEER, "could not drain the pipeline within %d seconds, killing: %s",
                UNIT_DRAIN_MILLIS / 1000, list);
        log_write(u->log, LOG_ERROR, "%s", u->why.message);
        u->state = UNIT_ENDING;
    } else {
        log_write(u->log, LOG_INFO, "killing programs that have not ended: %s", list);
    }
    kill_all(u);
}

/* Its pid, 0 if it does not run. */
static pid_t
table_reader(const struct unit *u)
{
    const struct child *last = &u->children[u->count - 1];

    return last->program->role == PLAN_TABLE_READER && is_alive(last) ? last->pid : 0;
}

static void
watch(struct unit *u, int signals)
{
    for (;;) {
        struct pollfd waiting = {.fd = signals, .events = POLLIN};
        int signo;

        reap(u);
        if (u->alive == 0)
            return;
        if (u->deadline != 0 && clock_micros() >= u->deadline) {
            deadline_passed(u);
            continue;
        }
        poll(&waiting, 1, clock_poll_timeout(notify_alive(u->notify, u->deadline)));
        while ((signo = sig_read(signals)) != 0)
            if (signo == SIGHUP) {
                if (reload_read(u->reload, u->log, table_reader(u)))
                    renew(u);
            } else if (signo == SIGUSR1) {
                if (reload_pauses(u->reload, u->log))
                    renew(u);
            } else if (signo != SIGCHLD) {
                reap(u); /* a program that ended before the signal did not end because of it */
                stop(u);
            }
    }
}

/* ---- the result ---- */

static bool
is_refusal(const struct child *c)
{
    int code = spawn_exit_code(c->status);

    /* With 126 and 127 the shell could not run a foreign program's command. */
    return code == EXIT_REFUSED || (c->program->foreign && (code == 126 || code == 127));
}

static enum exit_code
outcome(struct unit *u)
{
    int code = spawn_exit_code(reader(u)->status);

    for (size_t i = 0; i < u->count; i++)
        if (is_refusal(&u->children[i]))
            return EXIT_REFUSED;
    if (u->forced)
        return EXIT_PEER;
    /* The same as for a signal in the pause before the next start, because nothing was left to
     * drain. */
    if (u->asked && u->failed_unasked)
        return EXIT_DONE;
    /* pg-wal-read ends with 0 only when everything is drained or nothing was begun. It dies of
     * SIGTERM only before its first step. */
    if (code == 0 || (u->asked && (code == 128 + SIGTERM || code == 128 + SIGINT)))
        return u->again && !u->asked ? EXIT_PEER : EXIT_DONE;
    return EXIT_PEER;
}

/* How well the end of c explains why the pipeline ended, 0 if not at all. An end because of a
 * missing neighbour is always EXIT_PEER. */
static int
blame(const struct unit *u, const struct child *c)
{
    int code = spawn_exit_code(c->status);
    struct err words;

    if (!c->ended || code == 0 || c->killed || ended_before_begin(u, c))
        return 0;
    if (code != EXIT_PEER || is_refusal(c))
        return is_refusal(c) ? 5 : WIFSIGNALED(c->status) ? 4 : 3;
    lastwords_read(c->program->last_words, &words);
    return words.message[0] != '\0' && !words.neighbour ? 2 : 1;
}

/* Of equal blame, the first one to end. */
static const struct child *
culprit(const struct unit *u)
{
    const struct child *found = NULL;

    for (size_t i = 0; i < u->count; i++) {
        const struct child *c = &u->children[i];
        int more = blame(u, c) - (found == NULL ? 0 : blame(u, found));

        if (more > 0 || (more == 0 && found != NULL && c->order < found->order))
            found = c;
    }
    return found;
}

static void
log_culprit(struct unit *u, enum exit_code code)
{
    const struct child *c = culprit(u);
    struct err *why = &u->why;
    struct log_field fields[2] = {{.name = "exit_code", .number = (uint64_t)code},
                                  {.name = "hint", .text = why->hint}};

    if (c == NULL)
        return;
    lastwords_read(c->program->last_words, why);
    if (why->message[0] == '\0')
        err_hint(why, "the error of %s above says why", c->program->label);
    log_write_fields(u->log, LOG_ERROR, fields, why->hint[0] == '\0' ? 1 : 2,
                     "the pipeline ended because %s%s%s", describe_end(c).text,
                     why->message[0] == '\0' ? "" : ": ", why->message);
    if (why->message[0] == '\0') {
        err_set(why, code, "%s", describe_end(c).text);
        err_hint(why, "the log says more");
    }
    why->code = code;
    u->program = c->program->label;
    u->sink = c->program->sink;
}

/* A reader that was told to stop before it had begun ends the others, which miss its stream.
 * Nothing failed then, even if they were found ended before the reader. */
static bool
is_failure(const struct unit *u)
{
    bool told_first = u->renew || !u->failed_unasked;

    return u->failed && !(told_first && ended_before_begin(u, &u->children[u->reader]));
}

static struct unit_end
run_programs(struct unit *u, const struct plan *plan, int signals)
{
    bool started = start_all(u, plan, &u->why) == 0;
    enum exit_code code;

    if (started) {
        log_write(u->log, LOG_INFO, "started the pipeline: %zu programs", u->count);
        notify_ready(u->notify);
    } else {
        u->program = u->log->program;
        log_failure(u->log, &u->why);
        enter(u, UNIT_ENDING, 0);
    }
    watch(u, signals);
    code = started ? outcome(u) : u->why.code;
    if (started && (is_failure(u) || code == EXIT_REFUSED))
        log_culprit(u, code);
    return (struct unit_end){.code = code,
                             .asked = u->asked,
                             .started = started,
                             .copied = u->copied && code == EXIT_DONE,
                             .program = u->program,
                             .sink = u->sink,
                             .why = u->why};
}

struct unit_end
unit_live(const struct plan *plan, struct reload *reload, const struct log *log, int signals,
          struct notify *notify)
{
    struct unit u = {.reload = reload,
                     .log = log,
                     .notify = notify,
                     .count = plan->count,
                     .reader = plan_reader(plan),
                     .waits = plan->waits,
                     .only = plan->only};
    struct unit_end end = {.code = EXIT_PEER};

    u.children = calloc(plan->count, sizeof *u.children);
    if (u.children == NULL) {
        log_write(log, LOG_ERROR, "out of memory for %zu programs", plan->count);
        return end;
    }
    for (size_t i = 0; i < plan->count; i++)
        u.children[i].program = &plan->programs[i];
    end = run_programs(&u, plan, signals);
    free(u.children);
    return end;
}
