/* io.c: see io.h. */
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/opt.h"
#include "lib/sock.h"

/* N of "/dev/fd/N", or -1. */
static int
inherited_fd(const char *path)
{
    static const char prefix[] = "/dev/fd/";
    struct err ignored;
    uint64_t n;

    if (strncmp(path, prefix, sizeof prefix - 1) != 0 ||
        opt_number("fd", path + sizeof prefix - 1, 0, 1 << 20, &n, &ignored) != 0)
        return -1;
    return (int)n;
}

static int
refuse_terminal_input(int fd, struct err *err)
{
    if (!isatty(fd))
        return fd;
    err_set(err, EXIT_REFUSED, "cannot read a stream from a terminal");
    return err_hint(err, "pipe a program's output in, or use < FILE");
}

/* A descriptor that our parent opened, and that our children should not get. */
static int
take_over(int fd, const char *path, struct err *err)
{
    if (fcntl(fd, F_GETFD) < 0)
        return err_set(err, EXIT_REFUSED, "descriptor %d of \"%s\" is not open", fd, path);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

static int
open_fifo(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd >= 0 ? fd
                   : err_set(err, EXIT_PEER, "could not open \"%s\" for reading: %s", path,
                             strerror(errno));
}

/* Waits for one peer. */
static int
listen_for_one(const char *path, struct err *err)
{
    struct pollfd waiting;
    int listener = sock_listen(path, err), fd;

    if (listener < 0)
        return -1;
    do {
        waiting = (struct pollfd){.fd = listener, .events = POLLIN};
        if (poll(&waiting, 1, -1) < 0 && errno != EINTR) {
            err_set(err, EXIT_PEER, "could not wait on \"%s\": %s", path, strerror(errno));
            fd = -1;
            break;
        }
        fd = sock_accept(listener, err);
    } while (fd == -2);
    close(listener);
    return fd;
}

int
io_open_input(const char *path, struct err *err)
{
    struct stat st;
    int fd;

    if (path == NULL)
        return refuse_terminal_input(STDIN_FILENO, err);
    fd = inherited_fd(path);
    if (fd >= 0) {
        fd = take_over(fd, path, err);
        return fd < 0 ? -1 : refuse_terminal_input(fd, err);
    }
    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode) ? open_fifo(path, err)
                                                        : listen_for_one(path, err);
}

static int
refuse_terminal(int fd, struct err *err)
{
    if (!isatty(fd))
        return fd;
    err_set(err, EXIT_REFUSED, "cannot write frames to a terminal");
    return err_hint(err, "pipe the output into the next program, or into evcat to read it");
}

int
io_open_output(const char *path, struct err *err)
{
    struct stat st;
    int fd;

    if (path == NULL)
        return refuse_terminal(STDOUT_FILENO, err);
    fd = inherited_fd(path);
    if (fd >= 0) {
        fd = take_over(fd, path, err);
        return fd < 0 ? -1 : refuse_terminal(fd, err);
    }
    if (stat(path, &st) != 0 ? errno == ENOENT : S_ISSOCK(st.st_mode))
        return sock_connect(path, IO_CONNECT_PATIENCE_MILLIS, err);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, EXIT_PEER, "could not open \"%s\" for writing: %s", path,
                       strerror(errno));
    return refuse_terminal(fd, err);
}

int
io_make_nonblocking(int fd, struct err *err)
{
    char path[32];
    struct stat st;
    int own;

    if (fstat(fd, &st) != 0)
        return err_set(err, EXIT_PEER, "could not examine the output: %s", strerror(errno));
    if (!S_ISFIFO(st.st_mode))
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (own < 0)
        return err_set(err, EXIT_PEER, "could not open the output pipe anew: %s",
                       errno == ENXIO ? "the next program in the pipeline is gone"
                                      : strerror(errno));
    close(fd);
    return own;
}

static int
write_error(struct err *err)
{
    if (errno == EPIPE || errno == ECONNRESET) {
        err_set(err, EXIT_PEER, "the next program in the pipeline is gone");
        return err_neighbour(err);
    }
    return err_set(err, EXIT_PEER, "could not write the output: %s", strerror(errno));
}

int64_t
io_write_some(int fd, struct bytes data, struct err *err)
{
    for (;;) {
        ssize_t n = send(fd, data.data, data.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == ENOTSOCK)
            n = write(fd, data.data, data.len);
        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR)
            return write_error(err);
    }
}

int
io_write_all(int fd, struct bytes data, struct err *err)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.data, data.len);

        if (n >= 0) {
            data.data += n;
            data.len -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd waiting = {.fd = fd, .events = POLLOUT};

            poll(&waiting, 1, -1);
        } else if (errno != EINTR) {
            return write_error(err);
        }
    }
    return 0;
}

void
io_enlarge_pipe(int fd, uint32_t size)
{
    /* Fails beyond the user's pipe-user-pages-soft. Then the pipe keeps its size. */
    (void)fcntl(fd, F_SETPIPE_SZ, (int)size);
}
