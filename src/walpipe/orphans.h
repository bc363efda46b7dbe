/* orphans.h: processes that a foreign sink leaves behind. walpipe is the parent of its children's
 * orphans (PR_SET_CHILD_SUBREAPER) and ends them with their pipeline. */
#ifndef WALPIPE_ORPHANS_H
#define WALPIPE_ORPHANS_H

#include <sys/types.h>

#include "lib/base.h"

#define ORPHANS_NOTED_MAX 64

/* Children that walpipe had before it started any, as `exec walpipe run 2> >(tee log)` makes them.
 * walpipe must not touch them. */
struct orphans {
    pid_t noted[ORPHANS_NOTED_MAX];
    size_t noted_count;
};

/* Before the first child. */
void orphans_watch(struct orphans *orphans);

/* Call it after all of walpipe's own children were reaped. Kills the rest, and waits a second at
 * most. */
void orphans_end(const struct orphans *orphans);

#endif
