/* configdiff.h: the keys and sections in which two config files differ. */
#ifndef WALPIPE_CONFIGDIFF_H
#define WALPIPE_CONFIGDIFF_H

#include "walpipe/config.h"

/* The differences to list. */
enum configdiff_kind {
    CONFIGDIFF_RENEW,    /* those that a running walpipe takes by starting its programs again */
    CONFIGDIFF_IDENTITY, /* of name, state_dir and slot, which say which pipeline it is */
    CONFIGDIFF_ROWS /* those that decide where the target of a sink that both have is, and which
                       rows and values get into it. They cannot be taken back: changes may have been
                       confirmed meanwhile. */
};

/* Lists the keys of [pipeline] and [source] that differ, and the other sections in which something
 * differs or which only one of them has, as in "[source] slot, [sink dst]". Leaves out copy_workers
 * and copy_rate, which change while the programs run. The list is in pool, and "" if nothing of
 * this kind differs. It has no values, because some are secret. */
const char *configdiff_list(const struct config *before, const struct config *after,
                            enum configdiff_kind kind, struct pool *pool);

#endif
