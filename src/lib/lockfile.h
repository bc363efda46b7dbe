/* lockfile.h: a file that one process at a time may hold. */
#ifndef WALPIPE_LOCKFILE_H
#define WALPIPE_LOCKFILE_H

#include "lib/base.h"

#define LOCKFILE_HELD (-2)

/* Makes the file name below the directory dir (a descriptor, or AT_FDCWD) when it is missing, mode
 * 0600, and locks it: a close-on-exec descriptor that keeps the lock until it is closed, in this
 * process and every child that inherited it. LOCKFILE_HELD when another process has it; -1 with err
 * (path is the file's name there). */
int lockfile_take(int dir, const char *name, const char *path, struct err *err) MUST_CHECK;

#endif
