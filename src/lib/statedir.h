/* statedir.h: a pipeline's state directory: private to its user, and used by one walpipe and one
 * ackd at a time. What stands there decides what is confirmed to the source: whoever may write to
 * it can lose data. */
#ifndef WALPIPE_STATEDIR_H
#define WALPIPE_STATEDIR_H

#include "lib/base.h"

/* The ack socket's name in it. */
#define STATEDIR_SOCKET "ackd.sock"

#define STATEDIR_MISSING (-2)
#define STATEDIR_IN_USE  (-3)

/* Makes the directories above path that are missing, with the umask's mode. */
int statedir_make_parents(const char *path, struct err *err) MUST_CHECK;

/* Opens the directory at path, making it (0700; not its parents) when it is missing. A
 * close-on-exec descriptor, or -1 with err: what is no directory, another user's or open to others
 * is EXIT_REFUSED. */
int statedir_open(const char *path, struct err *err) MUST_CHECK;

/* The same, but nothing is made: STATEDIR_MISSING when there is none. */
int statedir_open_existing(const char *path, struct err *err) MUST_CHECK;

/* A pipeline is run by one walpipe, and served by one ackd, which may run without walpipe. */
enum statedir_user { STATEDIR_WALPIPE, STATEDIR_ACKD };

/* Takes the user's lock in dir, which is the directory at path: a close-on-exec descriptor to be
 * left open as long as the directory is used, or -1 with err. STATEDIR_IN_USE, with err too, when
 * another one has it: with EXIT_PEER for an ackd, which may be about to end, and EXIT_REFUSED for a
 * walpipe. */
int statedir_lock(int dir, const char *path, enum statedir_user user, struct err *err) MUST_CHECK;

/* Whether a walpipe has its lock in the directory at path, as far as the kernel tells. It does not
 * take the lock for that, since another walpipe that starts meanwhile would be refused. */
bool statedir_is_run(const char *path);

#endif
