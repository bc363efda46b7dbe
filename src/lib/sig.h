/* sig.h: signals, handled the same way in all programs. Handlers do nothing, and loops read a
 * descriptor. */
#ifndef WALPIPE_SIG_H
#define WALPIPE_SIG_H

#include "lib/base.h"

/* For every program. Ignores SIGPIPE, so that a write reports EPIPE. */
void sig_ignore_pipe(void);

/* For the programs behind pg-wal-read, once their input and output are open. SIGTERM or SIGINT to
 * the whole process group means "drain". They wait for the stream's `end`, so the first of each is
 * ignored, and a second ends the program. While a program still waits for its neighbours there is
 * nothing to drain, and the first signal ends it. */
void sig_wait_for_end(void);

/* More signals for sig_open. */
enum { SIG_CHILDREN = 1 /* SIGCHLD */, SIG_RELOAD = 2 /* SIGHUP */, SIG_PAUSES = 4 /* SIGUSR1 */ };

/* A signalfd for SIGTERM, SIGINT and the set of further ones, which are blocked from then on. It is
 * close-on-exec and non-blocking. Returns -1 with err. */
int sig_open(unsigned further, struct err *err) MUST_CHECK;

/* The number of a pending signal, or 0. */
int sig_read(int fd);

/* For a child before exec. Unblocks everything and restores SIGPIPE. The child ignores SIGHUP if
 * ignores_hangup. */
void sig_reset_for_exec(bool ignores_hangup);

#endif
