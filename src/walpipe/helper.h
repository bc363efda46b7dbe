/* helper.h: runs one of walpipe's own programs to its end, for --check, --drop-slot and
 * --drop-progress. It also runs pg_dump. */
#ifndef WALPIPE_HELPER_H
#define WALPIPE_HELPER_H

#include "walpipe/pool.h"

struct helper {
    const char *directory; /* of the program, as a rule that of walpipe's own */
    const char *const *argv;
    const char *const *env;
    int in;     /* its stdin, -1 for an empty one */
    int out;    /* its descriptor 3, -1 if none */
    int errors; /* its stderr, 0 for walpipe's */
};

/* Runs it. *output is the text that it printed, in pool. Returns its exit code, or -1 with err if
 * it could not be run. */
int helper_run(const struct helper *helper, struct pool *pool, char **output, struct err *err);

#endif
