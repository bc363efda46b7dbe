/* spawn.h: starts one program as a child, which the kernel kills if walpipe ends. */
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
    int errors;       /* becomes its stderr, 0 for walpipe's */
    const int *extra; /* extra[i] becomes its descriptor 3 + i */
    size_t extra_count;
    bool own_group; /* a process group of its own */
    bool foreign;   /* not walpipe's own; the others ignore SIGHUP, which is for walpipe */
};

/* The child has only 0, 1, 2 (walpipe's stderr) and extra. It has default signal handling, and is
 * killed when walpipe dies. Returns its pid, or -1 with err, which is EXIT_REFUSED if the file
 * cannot be executed. */
pid_t spawn_child(const struct spawn *spawn, struct err *err) MUST_CHECK;

/* A wait status as one number, which is the child's exit code, or 128 + the signal that killed
 * it. */
int spawn_exit_code(int wait_status);

/* Waits for the child's end. Returns its exit code, or -1 with err. */
int spawn_wait(pid_t pid, struct err *err) MUST_CHECK;

#endif
