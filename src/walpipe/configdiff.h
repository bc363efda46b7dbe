/* configdiff.h: the places where two config files say different things. */
#ifndef WALPIPE_CONFIGDIFF_H
#define WALPIPE_CONFIGDIFF_H

#include "walpipe/config.h"

/* How a running walpipe takes a change. */
enum configdiff_kind {
    CONFIGDIFF_RENEW,   /* by starting its programs again */
    CONFIGDIFF_IDENTITY /* not at all: name, state_dir and slot say which pipeline it is */
};

/* Lists the keys of [pipeline] and [source] that differ, and the other sections in which something
 * differs or which only one of them has, as in "[source] slot, [sink dst]". Leaves out copy_workers
 * and copy_rate, which change while the programs run. The list is in pool, and "" if nothing of
 * this kind differs. It has no values, because some are secret. */
const char *configdiff_list(const struct config *before, const struct config *after,
                            enum configdiff_kind kind, struct pool *pool);

#endif
