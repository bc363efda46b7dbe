/* replaced.h: notices that the file of walpipe itself has been replaced, as an upgrade does, and
 * continues as the new one. The programs that run keep their old files until they end, and all of
 * them end together. So old and new programs never run in one pipeline. */
#ifndef WALPIPE_REPLACED_H
#define WALPIPE_REPLACED_H

#include <sys/types.h>

#include "walpipe/notify.h"
#include "walpipe/pool.h"

struct replaced {
    const char *file; /* in the pool; NULL if it is not known */
    dev_t device;
    ino_t inode;
    uint64_t restarts; /* of this process when it was the old walpipe, 0 if it never was */
};

/* Notes which file this process runs. Reads and removes the variable that replaced_continue has put
 * into the environment. */
void replaced_watch(struct replaced *replaced, struct pool *pool);

/* True if another file has the name now. A name without a file is an upgrade under way, and false.
 */
bool replaced_seen(const struct replaced *replaced);

/* Starts the new file with this process's arguments, so it keeps its pid. The caller has no
 * children. Returns only if that fails, with err. */
int replaced_continue(const struct replaced *replaced, char *const *argv, struct notify *notify,
                      uint64_t restarts, struct err *err);

#endif
