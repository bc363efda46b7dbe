/* statedir.h: a pipeline's state directory. It is private to its user, and used by one walpipe and
 * one ackd at a time. Its files decide which LSN is confirmed to the source, so everybody who may
 * write to it can lose data. */
#ifndef WALPIPE_STATEDIR_H
#define WALPIPE_STATEDIR_H

#include <sys/types.h>

#include "lib/base.h"

/* The ack socket's name in it. */
#define STATEDIR_SOCKET "ackd.sock"

#define STATEDIR_MISSING (-2)
#define STATEDIR_IN_USE  (-3)

/* Makes the directories above path that are missing, with the umask's mode. */
int statedir_make_parents(const char *path, struct err *err) MUST_CHECK;

/* Opens the directory at path. Makes it with mode 0700, but not its parents, if it is missing.
 * Returns a close-on-exec descriptor, or -1 with err. A file that is no directory, or a directory
 * that is another user's or open to others, is EXIT_REFUSED. */
int statedir_open(const char *path, struct err *err) MUST_CHECK;

/* The same, but makes nothing. Returns STATEDIR_MISSING if there is none. */
int statedir_open_existing(const char *path, struct err *err) MUST_CHECK;

/* A pipeline has one walpipe and one ackd. ackd may run without walpipe. */
enum statedir_user { STATEDIR_WALPIPE, STATEDIR_ACKD };

/* Takes the user's lock in dir, which is the directory at path. Returns a close-on-exec descriptor,
 * to be left open as long as the directory is used, or -1 with err. If another process has the
 * lock, returns STATEDIR_IN_USE, also with err. That is EXIT_PEER for an ackd, which may be about
 * to end, and EXIT_REFUSED for a walpipe. */
int statedir_lock(int dir, const char *path, enum statedir_user user, struct err *err) MUST_CHECK;

/* Whether a walpipe holds its lock in the directory at path, as far as the kernel reports it. It
 * does not try to take the lock, because another walpipe that starts meanwhile would be refused. */
bool statedir_is_run(const char *path);

/* The process id of that walpipe, or 0. */
pid_t statedir_runner(const char *path);

#endif
