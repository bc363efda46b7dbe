/* notify.h: reports the state of the pipeline to a service manager. It speaks systemd's protocol
 * (Type=notify, WatchdogSec, documented in sd_notify(3)) and s6's (a newline to a descriptor). */
#ifndef WALPIPE_NOTIFY_H
#define WALPIPE_NOTIFY_H

#include "lib/base.h"

struct notify {
    int socket;            /* of systemd, -1 if none */
    const char *name;      /* of that socket */
    int ready_fd;          /* of s6, -1 if none */
    bool ready;            /* the newline has been written, and ready_fd closed */
    uint64_t every_micros; /* between two signs of life, 0 without a watchdog */
    uint64_t next_sign;    /* on clock_micros() */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment,
 * because the programs of the pipeline must not use them. A socket that cannot be reached counts as
 * none, as sd_notify(3) recommends. ready_fd is the caller's option, -1 for none. */
void notify_open(struct notify *notify, int ready_fd);

/* The programs have been started. A service manager's start waits for that and not for the servers,
 * because a source that is down at boot must not make the start fail. */
void notify_ready(struct notify *notify);

/* Call it before this process executes another walpipe. That one finds the same environment and
 * descriptors as notify_open, but its newline goes to /dev/null. */
void notify_hand_on(const struct notify *notify);

/* The pipeline drains. */
void notify_stopping(const struct notify *notify);

/* One line that `systemctl status` shows to people. */
void notify_status(const struct notify *notify, const char *format, ...) PRINTF_LIKE(2, 3);

/* Gives the watchdog a sign of life when it is time. Returns the earlier one of deadline and the
 * next sign's time, both on clock_micros(), where 0 means none. */
uint64_t notify_alive(struct notify *notify, uint64_t deadline);

#endif
