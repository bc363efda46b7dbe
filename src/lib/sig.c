/* sig.c: see sig.h. */
#include "lib/sig.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void
set_handler(int signo, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_flags = flags};

    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(signo, &action, NULL);
}

void
sig_ignore_pipe(void)
{
    set_handler(SIGPIPE, SIG_IGN, 0);
}

static void
do_nothing(int signo)
{
    (void)signo;
}

void
sig_wait_for_end(void)
{
    int flags = (int)(SA_RESETHAND | SA_RESTART);

    set_handler(SIGTERM, do_nothing, flags);
    set_handler(SIGINT, do_nothing, flags);
}

int
sig_open(unsigned further, struct err *err)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (further & SIG_CHILDREN)
        sigaddset(&set, SIGCHLD);
    if (further & SIG_RELOAD)
        sigaddset(&set, SIGHUP);
    if (further & SIG_PAUSES)
        sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_set(err, EXIT_PEER, "could not open a signal descriptor: %s", strerror(errno));
    return fd;
}

int
sig_read(int fd)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    return (int)info.ssi_signo;
}

void
sig_reset_for_exec(bool ignores_hangup)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    set_handler(SIGPIPE, SIG_DFL, 0);
    set_handler(SIGTERM, SIG_DFL, 0);
    set_handler(SIGINT, SIG_DFL, 0);
    set_handler(SIGHUP, ignores_hangup ? SIG_IGN : SIG_DFL, 0);
}
