/* helper.h: run one of walpipe's own programs to its end: --check, --drop-slot, --drop-progress. */
#ifndef WALPIPE_HELPER_H
#define WALPIPE_HELPER_H

#include "walpipe/pool.h"

struct helper {
    const char *directory; /* of walpipe's programs */
    const char *const *argv;
    const char *const *env;
    int in;  /* its stdin; -1: empty */
    int out; /* its descriptor 3; -1: none */
};

/* Runs it; *output is what it printed, as text in pool. Its exit code, or -1 with err when it could
 * not be run. */
int helper_run(const struct helper *helper, struct pool *pool, char **output, struct err *err);

#endif
