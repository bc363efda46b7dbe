/* sock.h: Unix stream sockets in a private directory: mode 0600, the peer's user checked. */
#ifndef WALPIPE_SOCK_H
#define WALPIPE_SOCK_H

#include "lib/base.h"

/* Listens at path with mode 0600. "PATH.lock", held by flock for as long as the process lives,
 * decides who owns the path: its holder removes a stale socket; a second process is refused.
 * Returns a close-on-exec, non-blocking descriptor, or -1 with err. */
int sock_listen(const char *path, struct err *err) MUST_CHECK;

/* Accepts one connection: a close-on-exec, blocking descriptor; -1 with err when the peer is
 * another user's (EXIT_REFUSED) or accept failed; -2 when nobody waits. */
int sock_accept(int listener, struct err *err) MUST_CHECK;

/* Connects to path, trying again until patience_millis have passed while nobody listens there. */
int sock_connect(const char *path, uint64_t patience_millis, struct err *err) MUST_CHECK;

#endif
