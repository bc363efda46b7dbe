/* configdiff.h: the places where two config files say different things. */
#ifndef WALPIPE_CONFIGDIFF_H
#define WALPIPE_CONFIGDIFF_H

#include "walpipe/config.h"

/* Lists the keys of [pipeline] and [source] that differ, and the other sections in which something
 * differs or which only one of them has, as in "[source] slot, [sink dst]". Leaves out the keys
 * that change while walpipe runs, copy_workers and copy_rate. The list is in pool, and "" if
 * nothing differs. It has no values, because some are secret. */
const char *configdiff_list(const struct config *before, const struct config *after,
                            struct pool *pool);

#endif
