/* sock.c: see sock.h. */
#include "lib/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/lockfile.h"

static int
make_address(const char *path, struct sockaddr_un *addr, struct err *err)
{
    size_t len = strlen(path);

    if (len == 0 || len > SOCKET_PATH_MAX)
        return err_set(err, EXIT_REFUSED,
                       "cannot use socket path \"%s\": it has %zu bytes, the system's limit is %d",
                       path, len, SOCKET_PATH_MAX);
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(addr->sun_path, path, len + 1);
    return 0;
}

/* The lock is kept until the process ends, so its descriptor is left open on purpose. */
static int
take_lock(const char *path, struct err *err)
{
    char lock[SOCKET_PATH_MAX + sizeof ".lock"];
    int fd;

    snprintf(lock, sizeof lock, "%s.lock", path);
    fd = lockfile_take(AT_FDCWD, lock, lock, err);
    if (fd != LOCKFILE_HELD)
        return fd < 0 ? -1 : 0;
    err_set(err, EXIT_PEER, "socket \"%s\" is in use by another process", path);
    return err_hint(
        err, "give each pipeline a directory of its own; fuser shows the process that holds %s",
        lock);
}

int
sock_listen(const char *path, struct err *err)
{
    struct sockaddr_un addr;
    mode_t mask;
    int fd, bound;

    if (make_address(path, &addr, err) != 0 || take_lock(path, err) != 0)
        return -1;
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set(err, EXIT_REFUSED, "could not remove stale socket \"%s\": %s", path,
                       strerror(errno));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, EXIT_PEER, "could not make a socket: %s", strerror(errno));
    mask = umask(0177);
    bound = bind(fd, (struct sockaddr *)&addr, sizeof addr);
    umask(mask);
    if (bound != 0 || listen(fd, 64) != 0) {
        err_set(err, EXIT_REFUSED, "could not listen on \"%s\": %s", path, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

int
sock_accept(int listener, struct err *err)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED)
            return -2;
        return err_set(err, EXIT_PEER, "could not accept a connection: %s", strerror(errno));
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        close(fd);
        return err_set(err, EXIT_REFUSED, "refused a connection of user id %u: only user id %u may",
                       (unsigned)peer.uid, (unsigned)geteuid());
    }
    return fd;
}

pid_t
sock_peer(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

int
sock_connect(const char *path, uint64_t patience_millis, struct err *err)
{
    uint64_t deadline = clock_micros() + patience_millis * 1000;
    struct sockaddr_un addr;

    if (make_address(path, &addr, err) != 0)
        return -1;
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int why;

        if (fd < 0)
            return err_set(err, EXIT_PEER, "could not make a socket: %s", strerror(errno));
        if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
            return fd;
        why = errno;
        close(fd);
        if ((why != ENOENT && why != ECONNREFUSED && why != EAGAIN && why != EINTR) ||
            clock_micros() >= deadline)
            return err_set(err, EXIT_PEER, "could not connect to socket \"%s\": %s", path,
                           strerror(why));
        poll(NULL, 0, 20);
    }
}
