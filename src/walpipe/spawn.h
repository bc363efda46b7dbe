/* spawn.h: start one program as a child that dies with walpipe. */
#ifndef WALPIPE_SPAWN_H
#define WALPIPE_SPAWN_H

#include <sys/types.h>

#include "lib/base.h"

struct spawn {
    const char *file; /* path of the executable */
    const char *const *argv;
    const char *const *env;
    int in;           /* becomes the child's stdin */
    int out;          /* becomes its stdout */
    const int *extra; /* extra[i] becomes its descriptor 3 + i */
    size_t extra_count;
    bool own_group; /* a process group of its own */
};

/* The child has only 0, 1, 2 (walpipe's stderr) and extra; default signal handling; and is killed
 * when walpipe dies. Its pid, or -1 with err: EXIT_REFUSED when the file cannot be executed. */
pid_t spawn_child(const struct spawn *spawn, struct err *err) MUST_CHECK;

/* A wait status as one number: what the child exited with, or 128 + the signal that killed it. */
int spawn_exit_code(int wait_status);

/* For a child whose end is waited for here and now: its exit code, or -1 with err. */
int spawn_wait(pid_t pid, struct err *err) MUST_CHECK;

#endif
