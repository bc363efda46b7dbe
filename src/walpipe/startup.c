/* startup.c: see startup.h. Must not know how a program may end. */
#include "walpipe/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "walpipe/lastwords.h"
#include "walpipe/spawn.h"

/* The capacity that every pipe is set to. The kernel's default limit is 64 MiB per user for all of
 * them (trap 137). */
#define PIPE_SIZE (256u << 10)

struct startup {
    const struct plan *plan;
    const struct log *log;
    pid_t *pids; /* in the order of plan->programs */
    int null;
};

/* pg-wal-read must get SIGTERM once, from walpipe, and not also from a signal to the whole group,
 * because its second one means "at once". pg-table-read ends when ackd reports the end of the
 * stream. A foreign program may have helpers that must end with it. */
static bool
needs_own_group(const struct plan_program *program)
{
    return program->foreign || program->role == PLAN_READER || program->role == PLAN_TABLE_READER;
}

static int
start_program(struct startup *s, size_t i, struct spawn *spawn, struct err *err)
{
    const struct plan_program *program = &s->plan->programs[i];
    pid_t pid;

    lastwords_forget(program->last_words);
    spawn->file = program->file;
    spawn->argv = program->argv;
    spawn->env = program->env;
    spawn->foreign = program->foreign;
    spawn->own_group = needs_own_group(program);
    pid = spawn_child(spawn, err);
    if (pid < 0)
        return -1;
    s->pids[i] = pid;
    log_write(s->log, LOG_DEBUG, "started %s, pid %d", program->label, (int)pid);
    return 0;
}

static int
make_pipe(int ends[2], struct err *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, EXIT_PEER, "could not make a pipe: %s", strerror(errno));
    io_enlarge_pipe(ends[1], PIPE_SIZE);
    return 0;
}

/* Starts program i at the reading end of a new pipe. Returns the writing end, or -1 with err. */
static int
start_reading(struct startup *s, size_t i, struct spawn *spawn, struct err *err)
{
    int ends[2], started;

    if (make_pipe(ends, err) != 0)
        return -1;
    spawn->in = ends[0];
    started = start_program(s, i, spawn, err);
    close(ends[0]);
    if (started == 0)
        return ends[1];
    close(ends[1]);
    return -1;
}

/* Starts the stages above the workers. Each writes into the next one's pipe. extra are route's
 * further descriptors. */
static int
start_stages(struct startup *s, const int *extra, size_t extra_count, struct err *err)
{
    struct spawn spawn = {.out = s->null, .extra = extra, .extra_count = extra_count};
    int to_route, to_decode, started;

    to_route = start_reading(s, plan_route(s->plan), &spawn, err);
    if (to_route < 0)
        return -1;
    spawn = (struct spawn){.out = to_route};
    to_decode = start_reading(s, plan_decode(s->plan), &spawn, err);
    close(to_route);
    if (to_decode < 0)
        return -1;
    spawn = (struct spawn){.in = s->null, .out = to_decode};
    started = start_program(s, plan_reader(s->plan), &spawn, err);
    close(to_decode);
    return started;
}

/* The same as start_stages(), with pg-table-read, whose pipe is route's last descriptor. ends has
 * the workers' pipes and room for one more. */
static int
start_copying(struct startup *s, int *ends, struct err *err)
{
    size_t count = s->plan->workers_count;
    struct spawn spawn = {.in = s->null};
    int copy[2], started;

    if (make_pipe(copy, err) != 0)
        return -1;
    ends[count] = copy[0];
    started = start_stages(s, ends, count + 1, err);
    close(copy[0]);
    spawn.out = copy[1];
    if (started == 0)
        started = start_program(s, plan_table_reader(s->plan), &spawn, err);
    close(copy[1]);
    return started;
}

static int
start_all(struct startup *s, struct err *err)
{
    const struct plan *plan = s->plan;
    int ends[WORKERS_MAX + 1];
    struct spawn spawn = {.in = s->null, .out = s->null};
    uint32_t open_ends = 0;
    int result = start_program(s, 0, &spawn, err);

    while (result == 0 && open_ends < plan->workers_count) {
        size_t i = 1 + open_ends;

        /* A foreign sink's output is for people, and its stdout is not used. */
        spawn.out = plan->programs[i].foreign ? STDERR_FILENO : s->null;
        ends[open_ends] = start_reading(s, i, &spawn, err);
        if (ends[open_ends] < 0)
            result = -1;
        else
            open_ends++;
    }
    if (result == 0)
        result = plan->copies ? start_copying(s, ends, err)
                              : start_stages(s, ends, plan->workers_count, err);
    for (uint32_t i = 0; i < open_ends; i++)
        close(ends[i]);
    return result;
}

int
startup_programs(const struct plan *plan, const struct log *log, pid_t *pids, struct err *err)
{
    struct startup s = {.plan = plan, .log = log, .pids = pids};
    int result;

    s.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (s.null < 0)
        return err_set(err, EXIT_PEER, "could not open /dev/null: %s", strerror(errno));
    result = start_all(&s, err);
    close(s.null);
    return result;
}
