/* lockfile.h: a file that one process at a time may hold. */
#ifndef WALPIPE_LOCKFILE_H
#define WALPIPE_LOCKFILE_H

#include "lib/base.h"

#define LOCKFILE_HELD (-2)

/* Locks the file name below the directory dir (a descriptor, or AT_FDCWD). Makes it with mode 0600
 * if it is missing. Returns a close-on-exec descriptor, which keeps the lock until it is closed in
 * this process and in every child that inherited it. Returns LOCKFILE_HELD if another process has
 * the lock, or -1 with err. Messages call the file path. */
int lockfile_take(int dir, const char *name, const char *path, struct err *err) MUST_CHECK;

#endif
