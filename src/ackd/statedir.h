/* statedir.h: the state directory: mode 0700, ours, and nobody else's ackd in it. */
#ifndef WALPIPE_ACKD_STATEDIR_H
#define WALPIPE_ACKD_STATEDIR_H

#include "lib/base.h"

/* Opens the directory at path, making it (0700; not its parents) when it is missing, and takes
 * "ackd.lock" in it until the process ends. A close-on-exec descriptor, or -1 with err: another
 * owner or a mode that lets others in is EXIT_REFUSED. */
int statedir_open(const char *path, struct err *err) MUST_CHECK;

#endif
