/* lowwater.c: see lowwater.h. */
#include "pg-wal-read/lowwater.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/clock.h"

/* While busy the socket reports itself readable only from this many bytes on, or after the wait. */
#define LOW_WATER        (64 * 1024)
#define BUSY_WAIT_MICROS UINT64_C(3000)

/* For a socket whose walsender is on this machine. */
#define LOCAL_RECEIVE_BUFFER (32 * 1024)
#define LOCAL_LOW_WATER      (8 * 1024)

/* Signs of a stall. Nothing comes for a while, and then more than usual. */
#define STALL_MICROS  UINT64_C(150000)
#define STALL_BYTES   2048
#define STALLS_MOST   3
#define STALLS_WITHIN UINT64_C(2000000)

/* The largest size that the kernel allows. */
#define FALLBACK_RECEIVE_BUFFER (4 * 1024 * 1024)

/* A Unix socket takes some 230 messages before its writer must wait, however small they are. */
#define UNIX_WAIT_MICROS UINT64_C(200)

/* A stream of 16,000 messages per second or more is busy. It is measured over a time and not by one
 * read, because a prompt reader gets one message per read, no matter how many there are. It is
 * measured in messages, because they wake the reader. It is measured over so many that a
 * transaction of some rows does not wait. */
#define BUSY_MESSAGES      64
#define BUSY_WITHIN_MICROS UINT64_C(4000)

/* The stream is not busy any more if a wait, or the low-water mark, gave fewer than this. */
#define IDLE_MESSAGES 16

/* The two ends of a connection within a machine have one address. */
static bool
is_local(const struct sockaddr_storage *ours, const struct sockaddr_storage *theirs)
{
    if (ours->ss_family != theirs->ss_family)
        return false;
    if (ours->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)ours, *b = (const void *)theirs;

        return a->sin_addr.s_addr == b->sin_addr.s_addr;
    }
    if (ours->ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)ours, *b = (const void *)theirs;

        return memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
    }
    return false;
}

struct lowwater
lowwater_start(int fd)
{
    struct lowwater l = {.way = LOWWATER_TCP};
    struct sockaddr_storage ours, theirs;
    socklen_t ours_size = sizeof ours, theirs_size = sizeof theirs;
    int bytes = LOCAL_RECEIVE_BUFFER;

    if (getsockname(fd, (struct sockaddr *)&ours, &ours_size) != 0 ||
        getpeername(fd, (struct sockaddr *)&theirs, &theirs_size) != 0)
        return l;
    if (ours.ss_family == AF_UNIX)
        l.way = LOWWATER_UNIX;
    else if (is_local(&ours, &theirs) &&
             setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0)
        l.way = LOWWATER_LOCAL_TCP;
    return l;
}

static void
set_busy(struct lowwater *l, int fd, bool busy)
{
    int bytes = busy ? LOW_WATER : 1;

    if (l->busy == busy)
        return;
    l->busy = busy;
    l->since = 0;
    if (l->way == LOWWATER_TCP)
        setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

void
lowwater_wait(struct lowwater *l, bool for_bytes)
{
    if (!for_bytes)
        l->waits_since = 0;
    else if (l->waits_since == 0)
        l->waits_since = clock_micros();
}

static void
leave_local(struct lowwater *l, int fd)
{
    bool busy = l->busy;
    int bytes = FALLBACK_RECEIVE_BUFFER;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &bytes, sizeof bytes);
    l->way = LOWWATER_TCP;
    l->busy = false;
    set_busy(l, fd, busy);
}

void
lowwater_wake(struct lowwater *l, int fd)
{
    uint64_t now = clock_micros();
    bool waited = l->waits_since != 0 && now - l->waits_since >= STALL_MICROS;
    int waiting = 0;

    l->waits_since = 0;
    if (l->way != LOWWATER_LOCAL_TCP || !waited || ioctl(fd, FIONREAD, &waiting) != 0)
        return;
    if (waiting < STALL_BYTES || now - l->stalled_at > STALLS_WITHIN)
        l->stalls = 0;
    if (waiting < STALL_BYTES)
        return;
    l->stalled_at = now;
    if (++l->stalls >= STALLS_MOST)
        leave_local(l, fd);
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

bool
lowwater_gathers(const struct lowwater *l, int fd)
{
    int waiting = 0, enough = l->way == LOWWATER_UNIX ? LOW_WATER : LOCAL_LOW_WATER;

    return l->way != LOWWATER_TCP && l->busy && ioctl(fd, FIONREAD, &waiting) == 0 &&
           waiting < enough;
}

uint64_t
lowwater_patience(const struct lowwater *l)
{
    return l->way == LOWWATER_UNIX ? UNIX_WAIT_MICROS : BUSY_WAIT_MICROS;
}
