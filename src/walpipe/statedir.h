/* statedir.h: the pipeline's state directory: private to its user, used by one walpipe at a time.
 */
#ifndef WALPIPE_STATEDIR_H
#define WALPIPE_STATEDIR_H

#include "lib/base.h"

/* Makes the directory (mode 0700; missing parents with the umask's mode) or refuses one that is
 * another user's or open to others. */
int statedir_make(const char *path, struct err *err) MUST_CHECK;

/* Refuses what statedir_make() would refuse, makes nothing; err has the code EXIT_DONE when the
 * directory does not exist yet. */
int statedir_check(const char *path, struct err *err) MUST_CHECK;

/* Takes the lock for as long as the process lives: a close-on-exec descriptor, or -1 with err when
 * another walpipe has it. */
int statedir_lock(const char *path, struct err *err) MUST_CHECK;

#endif
