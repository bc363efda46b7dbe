/* sock.h: Unix stream sockets in a private directory, with mode 0600 and a check of the peer's
 * user. */
#ifndef WALPIPE_SOCK_H
#define WALPIPE_SOCK_H

#include <sys/types.h>

#include "lib/base.h"

/* Listens at path with mode 0600. The lock on "PATH.lock", held by flock for as long as the process
 * lives, decides which process owns the path. Its holder removes a stale socket. A second process
 * is refused. Returns a close-on-exec, non-blocking descriptor, or -1 with err. */
int sock_listen(const char *path, struct err *err) MUST_CHECK;

/* Accepts one connection and returns a close-on-exec, blocking descriptor. Returns -1 with err if
 * the peer is another user's (EXIT_REFUSED) or accept failed, and -2 if no peer waits. */
int sock_accept(int listener, struct err *err) MUST_CHECK;

/* The process at the other end, 0 if it is not known or not in sight. */
pid_t sock_peer(int fd);

/* Connects to path. While nobody listens there it tries again, until patience_millis have
 * passed. */
int sock_connect(const char *path, uint64_t patience_millis, struct err *err) MUST_CHECK;

#endif
