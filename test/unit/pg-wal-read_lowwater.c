/* pg-wal-read_lowwater.c: the times when the reader's socket gathers messages.
 * links: pg-wal-read/lowwater lib/clock */
#include "pg-wal-read/lowwater.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
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

static void
start(struct lowwater *l, int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        abort();
    *l = lowwater_start(fds[0]);
}

static int
receive_buffer(int fd)
{
    socklen_t size = sizeof(int);
    int bytes = -1;

    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size);
    return bytes;
}

/* A connection to 127.0.0.2 comes from 127.0.0.1 if it is bound to that. So it has two addresses,
 * as between machines. */
static void
connect_tcp(int fds[2], const char *from)
{
    struct sockaddr_in listening = {.sin_family = AF_INET}, own = {.sin_family = AF_INET};
    socklen_t size = sizeof listening;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "127.0.0.1", &listening.sin_addr);
    inet_pton(AF_INET, from, &own.sin_addr);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&listening, size) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&listening, &size) != 0 ||
        bind(fds[0], (struct sockaddr *)&own, sizeof own) != 0 ||
        connect(fds[0], (struct sockaddr *)&listening, sizeof listening) != 0)
        abort();
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void
test_tcp(void)
{
    struct lowwater l;
    char bytes[16 * 1024] = {0};
    int fds[2], as_it_was;

    connect_tcp(fds, "127.0.0.2");
    as_it_was = receive_buffer(fds[0]);
    l = lowwater_start(fds[0]);
    lowwater_read(&l, fds[0], 100, false);
    check(l.busy && low_water(fds[0]) == 64 * 1024 && !lowwater_gathers(&l, fds[0]) &&
              receive_buffer(fds[0]) == as_it_was,
          "between machines the socket gathers, as large as it is");
    close(fds[0]);
    close(fds[1]);

    connect_tcp(fds, "127.0.0.1");
    l = lowwater_start(fds[0]);
    lowwater_read(&l, fds[0], 100, false);
    check(l.busy && low_water(fds[0]) == 1 && receive_buffer(fds[0]) < as_it_was &&
              lowwater_gathers(&l, fds[0]),
          "within a machine we wait ourselves, and the socket is small");
    check(write(fds[1], bytes, sizeof bytes) == sizeof bytes && !lowwater_gathers(&l, fds[0]),
          "not while there is much to read, of a large row perhaps");
    close(fds[0]);
    close(fds[1]);
}

/* As when bytes come after so long. */
static void
wake_after(struct lowwater *l, int fds[2], size_t bytes, uint64_t micros)
{
    char data[16 * 1024] = {0};

    lowwater_wait(l, true);
    l->waits_since -= micros;
    if (write(fds[1], data, bytes) != (ssize_t)bytes)
        abort();
    lowwater_wake(l, fds[0]);
    if (recv(fds[0], data, sizeof data, MSG_DONTWAIT) != (ssize_t)bytes)
        abort();
    lowwater_read(l, fds[0], 100, false);
}

static void
test_stalls(void)
{
    struct lowwater l;
    int fds[2];

    connect_tcp(fds, "127.0.0.1");
    l = lowwater_start(fds[0]);
    for (int i = 0; i < 10; i++) {
        wake_after(&l, fds, 8000, 200000);
        wake_after(&l, fds, 8000, 200000);
        wake_after(&l, fds, 100, 200000);
    }
    for (int i = 0; i < 10; i++)
        wake_after(&l, fds, 8000, 100000);
    for (int i = 0; i < 10; i++) {
        wake_after(&l, fds, 8000, 200000);
        l.stalled_at -= 3000000;
    }
    for (int i = 0; i < 10; i++) {
        lowwater_wait(&l, true);
        l.waits_since -= 200000;
        lowwater_wait(&l, false);
        wake_after(&l, fds, 8000, 0);
    }
    check(l.way == LOWWATER_LOCAL_TCP,
          "bursts after a rest, and what came while nobody wanted it, are no stalls");
    for (int i = 0; i < 3; i++)
        wake_after(&l, fds, 8000, 200000);
    check(l.way == LOWWATER_TCP && l.busy && low_water(fds[0]) == 64 * 1024 &&
              receive_buffer(fds[0]) > 128 * 1024,
          "a connection that stalls gets a large socket and the low-water mark");
    close(fds[0]);
    close(fds[1]);
}

int
main(void)
{
    struct lowwater l;
    int fds[2];

    start(&l, fds);
    for (int i = 0; i < 20; i++)
        lowwater_read(&l, fds[0], 1, false);
    check(!l.busy, "a small transaction: the next is not kept waiting");

    /* As many as there are between two looks at the clock. */
    for (int i = 0; i < 1000000 && !l.busy; i++)
        lowwater_read(&l, fds[0], 1, false);
    check(l.busy, "the bug was that many small reads in a row did not count as busy");
    check(lowwater_gathers(&l, fds[0]), "a Unix socket gathers by our own waiting");

    lowwater_read(&l, fds[0], 100, false);
    check(l.busy, "a read of libpq's buffer is still busy");
    lowwater_read(&l, fds[0], 1, false);
    check(!l.busy, "a wait that gave one message ends it");
    check(!lowwater_gathers(&l, fds[0]), "and nothing waits");

    lowwater_read(&l, fds[0], 1, true);
    check(l.busy, "more than could be taken is busy");
    lowwater_end(&l, fds[0]);
    check(!l.busy, "the goodbye counts every byte");

    lowwater_read(&l, fds[0], 100, false);
    check(l.busy, "one read of many is busy");
    close(fds[0]);
    close(fds[1]);
    test_tcp();
    test_stalls();
    return check_done();
}
