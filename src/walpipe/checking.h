/* checking.h: what the parts of walpipe check share: the verdicts so far, and how another program's
 * --check is run. */
#ifndef WALPIPE_CHECKING_H
#define WALPIPE_CHECKING_H

#include "lib/verdict.h"
#include "walpipe/config.h"
#include "walpipe/helper.h"

struct checking {
    const struct config *config;
    const struct log *log;
    struct pool pool;
    const char *programs;
    const char *const *env; /* walpipe's own */
    struct verdicts verdicts;
};

/* Runs a program's check and says its lines, with whose they are behind the verdict. */
void checking_run(struct checking *checking, const char *whose, const struct helper *helper);

#endif
