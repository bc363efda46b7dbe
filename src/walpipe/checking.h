/* checking.h: shared parts of walpipe check, which are the verdicts so far, and the call of another
 * program's --check. */
#ifndef WALPIPE_CHECKING_H
#define WALPIPE_CHECKING_H

#include "lib/verdict.h"
#include "walpipe/config.h"
#include "walpipe/helper.h"

struct checking {
    struct config *config; /* its open choices about copies are made by check_copies_default */
    const struct log *log;
    struct pool pool;
    const char *programs;
    const char *const *env; /* walpipe's own */
    struct verdicts verdicts;
};

/* Runs a program's check and prints its lines, with their origin behind the verdict. */
void checking_run(struct checking *checking, const char *whose, const struct helper *helper);

#endif
