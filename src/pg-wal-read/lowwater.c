/* lowwater.c: see lowwater.h. */
#include "pg-wal-read/lowwater.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/clock.h"

/* While busy the socket reports itself readable only from this many bytes on, or after the wait. */
#define LOW_WATER        (64 * 1024)
#define BUSY_WAIT_MICROS UINT64_C(3000)

/* A Unix socket takes some 230 messages before its writer must wait, however small they are. */
#define UNIX_WAIT_MICROS UINT64_C(200)

/* Busy is a stream of 16,000 messages a second or more. It is measured over a time and not by one
 * read, for a prompt reader gets one message a read, however many there are; in messages, for it is
 * they that wake it; and over so many that a transaction of some rows does not wait. */
#define BUSY_MESSAGES      64
#define BUSY_WITHIN_MICROS UINT64_C(4000)

/* Not busy any more when a wait, or the low-water mark, gave fewer than this. */
#define IDLE_MESSAGES 16

static void
set_busy(struct lowwater *l, int fd, bool busy)
{
    int bytes = busy ? LOW_WATER : 1;

    if (l->busy == busy)
        return;
    l->busy = busy;
    l->since = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

void
lowwater_read(struct lowwater *l, int fd, size_t messages, bool more)
{
    uint64_t now;

    if (l->busy) {
        set_busy(l, fd, more || messages >= IDLE_MESSAGES);
        return;
    }
    now = clock_micros();
    if (now - l->since > BUSY_WITHIN_MICROS) {
        l->since = now;
        l->messages = 0;
    }
    l->messages += messages;
    if (more || l->messages >= BUSY_MESSAGES)
        set_busy(l, fd, true);
}

void
lowwater_end(struct lowwater *l, int fd)
{
    set_busy(l, fd, false);
}

/* On a Unix socket poll() does not heed SO_RCVLOWAT. */
bool
lowwater_gathers(const struct lowwater *l, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int waiting = 0;

    if (!l->busy || getsockname(fd, (struct sockaddr *)&address, &size) != 0 ||
        address.ss_family != AF_UNIX)
        return false;
    return ioctl(fd, FIONREAD, &waiting) == 0 && waiting < LOW_WATER;
}

uint64_t
lowwater_patience(bool gathers)
{
    return gathers ? UNIX_WAIT_MICROS : BUSY_WAIT_MICROS;
}
