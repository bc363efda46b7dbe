/* pgwalread_lowwater.c: when the reader's socket gathers messages.
 * links: pg-wal-read/lowwater lib/clock */
#include "pg-wal-read/lowwater.h"

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static int
low_water(int fd)
{
    socklen_t size = sizeof(int);
    int bytes = -1;

    getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &size);
    return bytes;
}

int
main(void)
{
    struct lowwater l = {0};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 1;
    for (int i = 0; i < 20; i++)
        lowwater_read(&l, fds[0], 1, false);
    check(!l.busy && low_water(fds[0]) == 1, "a small transaction: the next is not kept waiting");

    /* As many as there are between two looks at the clock. */
    for (int i = 0; i < 1000000 && !l.busy; i++)
        lowwater_read(&l, fds[0], 1, false);
    check(l.busy && low_water(fds[0]) == 64 * 1024,
          "the bug was that many small reads in a row did not count as busy");
    check(lowwater_gathers(&l, fds[0]), "a Unix socket gathers by our own waiting");

    lowwater_read(&l, fds[0], 100, false);
    check(l.busy, "a read of libpq's buffer is still busy");
    lowwater_read(&l, fds[0], 1, false);
    check(!l.busy && low_water(fds[0]) == 1, "a wait that gave one message ends it");
    check(!lowwater_gathers(&l, fds[0]), "and nothing waits");

    lowwater_read(&l, fds[0], 1, true);
    check(l.busy, "more than could be taken is busy");
    lowwater_end(&l, fds[0]);
    check(!l.busy && low_water(fds[0]) == 1, "the goodbye counts every byte");

    lowwater_read(&l, fds[0], 100, false);
    check(l.busy, "one read of many is busy");
    close(fds[0]);
    close(fds[1]);
    return check_done();
}
