/* programs.c: see programs.h. */
#include "ackd/programs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sock.h"

/* A line of /proc. The kernel's are shorter, apart from the list of children. */
#define LINE_SIZE 1024

/* The pids of all children of walpipe, or of a shell, whose others are not counted. */
#define CHILDREN_SIZE 8192

/* Returns false if the file cannot be read. */
static bool
read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool
read_name(struct program *p)
{
    char path[64], line[LINE_SIZE];

    snprintf(path, sizeof path, "/proc/%d/comm", (int)p->pid);
    if (!read_file(path, line, sizeof line))
        return false;
    line[strcspn(line, "\n")] = '\0';
    snprintf(p->name, sizeof p->name, "%.*s", (int)sizeof p->name - 1, line);
    return true;
}

/* Fields 14 and 15 of stat, in clock ticks. The name, which is field 2, may contain blanks and
 * parentheses. */
static bool
read_cpu(struct program *p)
{
    long ticks = sysconf(_SC_CLK_TCK);
    char path[64], line[LINE_SIZE];
    uint64_t user, kernel;
    const char *at;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
    if (ticks <= 0 || !read_file(path, line, sizeof line) || (at = strrchr(line, ')')) == NULL ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
               &kernel) != 2)
        return false;
    p->cpu_millis = (user + kernel) * 1000 / (uint64_t)ticks;
    return true;
}

static bool
read_memory(struct program *p)
{
    char path[64], line[LINE_SIZE];
    uint64_t pages;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)p->pid);
    if (!read_file(path, line, sizeof line) || sscanf(line, "%*u %" SCNu64, &pages) != 1)
        return false;
    p->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static bool
is_known(const struct program *programs, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (programs[i].pid == pid)
            return true;
    return false;
}

/* Appends the program, if it is there and not in the list yet. only is NULL, or the names that it
 * may have. */
static size_t
add(struct program programs[PROGRAMS_MAX], size_t count, const struct program *program,
    const char *const *only)
{
    struct program *p = &programs[count];

    if (program->pid <= 0 || count == PROGRAMS_MAX || is_known(programs, count, program->pid))
        return count;
    *p = *program;
    if (!read_name(p) || !read_cpu(p) || !read_memory(p))
        return count;
    for (; only != NULL; only++) {
        if (*only == NULL)
            return count;
        if (strcmp(*only, p->name) == 0)
            break;
    }
    return count + 1;
}

static size_t
add_siblings(struct program programs[PROGRAMS_MAX], size_t count)
{
    static const char *const names[] = {"pg-wal-read", "pg-table-read", "pgout-decode", "route",
                                        NULL};
    char path[64], children[CHILDREN_SIZE], *at = children, *end;
    struct program p = {.pid = getppid()};

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)p.pid, (int)p.pid);
    if (!read_file(path, children, sizeof children))
        return count;
    while ((p.pid = (pid_t)strtol(at, &end, 10)) > 0 && end != at) {
        count = add(programs, count, &p, names);
        at = end;
    }
    return count;
}

size_t
programs_look(const struct ackd *a, struct program programs[PROGRAMS_MAX])
{
    static const char *const parent[] = {"walpipe", NULL};
    size_t count = add(programs, 0, &(struct program){.pid = getppid()}, parent);

    count = add(programs, count, &(struct program){.pid = getpid()}, NULL);
    for (size_t i = 0; i < CONNS_MAX; i++) {
        const struct conn *c = &a->conns[i];
        struct program p = {.is_worker = c->role == CONN_WORKER, .worker = c->worker};

        if (c->fd < 0 || c->role == CONN_NEW)
            continue;
        p.pid = sock_peer(c->fd);
        count = add(programs, count, &p, NULL);
    }
    return add_siblings(programs, count);
}
