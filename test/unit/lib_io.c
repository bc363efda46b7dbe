/* lib_io.c: pipes whose reader is gone or slow, and with lib/sock sockets and their locks.
 * links: lib/io lib/sock lib/lockfile lib/clock lib/opt lib/err */
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/sock.h"

#include "check.h"

static char directory[] = "/tmp/lib_io.XXXXXX";
static char path[128];

static const char *
in_directory(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void
test_reader_gone(void)
{
    struct err err = {0};
    int fds[2], own;

    if (pipe(fds) != 0)
        abort();
    close(fds[0]);
    check(io_write_all(fds[1], (struct bytes){(const uint8_t *)"x", 1}, &err) == -1 &&
              err.code == EXIT_PEER && strstr(err.message, "gone") != NULL,
          "a pipe without a reader: %s", err.message);
    own = io_make_nonblocking(fds[1], &err);
    check(own < 0 || io_write_some(own, (struct bytes){(const uint8_t *)"x", 1}, &err) == -1,
          "and made non-blocking");
    close(own < 0 ? fds[1] : own);
}

/* The bug was that O_NONBLOCK belongs to the open file description. Set on stdout, it also changed
 * the shell's and the neighbour's end. */
static void
test_nonblocking_is_private(void)
{
    static uint8_t zeros[1 << 20];
    struct err err = {0};
    int fds[2], shared, own;

    if (pipe(fds) != 0 || (shared = dup(fds[1])) < 0)
        abort();
    own = io_make_nonblocking(fds[1], &err);
    check(own >= 0 && (fcntl(shared, F_GETFL) & O_NONBLOCK) == 0,
          "the other holder's descriptor stays blocking");
    check(io_write_some(own, (struct bytes){zeros, sizeof zeros}, &err) > 0, "a part is written");
    check(io_write_some(own, (struct bytes){zeros, sizeof zeros}, &err) == 0,
          "then nothing, without waiting");
    close(fds[0]);
    close(shared);
    check(io_write_some(own, (struct bytes){zeros, 1}, &err) == -1, "then the reader is gone");
    close(own);
}

static void
test_write_all_waits(void)
{
    static uint8_t zeros[1 << 20];
    struct err err = {0};
    char chunk[65536];
    size_t got = 0;
    ssize_t n;
    int fds[2], own;
    pid_t child;

    if (pipe(fds) != 0 || (child = fork()) < 0)
        abort();
    if (child == 0) {
        close(fds[0]);
        own = io_make_nonblocking(fds[1], &err);
        _exit(own >= 0 && io_write_all(own, (struct bytes){zeros, sizeof zeros}, &err) == 0 ? 0
                                                                                            : 1);
    }
    close(fds[1]);
    while ((n = read(fds[0], chunk, sizeof chunk)) > 0)
        got += (size_t)n;
    waitpid(child, NULL, 0);
    check(got == sizeof zeros, "a megabyte through a full non-blocking pipe: %zu bytes", got);
    close(fds[0]);
}

static void
test_output_paths(void)
{
    struct err err = {0};
    int fd;

    check(io_open_output("/dev/fd/999", &err) == -1 && err.code == EXIT_REFUSED,
          "a descriptor that is not open: %s", err.message);
    check(io_open_output(in_directory("nosuchdir/x"), &err) == -1, "no such directory: %s",
          err.message);
    fd = open(in_directory("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    fd = io_open_output(in_directory("file"), &err);
    check(fd >= 0, "a file");
    close(fd);
}

static void
test_input_paths(void)
{
    struct err err = {0};
    char fifo[sizeof path], byte = 0, text[32];
    int fds[2], fd, status;

    if (pipe(fds) != 0)
        abort();
    snprintf(text, sizeof text, "/dev/fd/%d", fds[0]);
    fd = io_open_input(text, &err);
    check(fd == fds[0] && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "an inherited descriptor");
    check(write(fds[1], "x", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'x', "is read");
    close(fds[0]);
    close(fds[1]);
    check(io_open_input(text, &err) == -1 && err.code == EXIT_REFUSED, "one that is not open: %s",
          err.message);
    snprintf(fifo, sizeof fifo, "%s", in_directory("input"));
    if (mkfifo(fifo, 0600) != 0)
        abort();
    if (fork() == 0) {
        fd = open(fifo, O_WRONLY);
        _exit(write(fd, "y", 1) == 1 ? 0 : 1);
    }
    fd = io_open_input(fifo, &err);
    check(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'y', "a FIFO waits for its writer");
    check(read(fd, &byte, 1) == 0, "and ends with it");
    close(fd);
    wait(&status);
}

static void
test_sockets(void)
{
    struct err err = {0};
    struct stat st;
    int listener, client, server;
    pid_t child;
    int status;

    listener = sock_listen(in_directory("s"), &err);
    check(listener >= 0 && stat(path, &st) == 0 && (st.st_mode & 0777) == 0600,
          "a socket of mode 0600 %s", err.message);
    check(sock_accept(listener, &err) == -2, "nobody waits");
    client = sock_connect(path, 0, &err);
    server = sock_accept(listener, &err);
    check(client >= 0 && server >= 0, "a connection");
    close(client);
    close(server);
    child = fork();
    if (child == 0)
        _exit(sock_listen(in_directory("s"), &err) == -1 && err.code == EXIT_PEER ? 0 : 1);
    check(waitpid(child, &status, 0) == child && status == 0,
          "a second process is refused while the first lives");
    close(listener);
    check(sock_connect(path, 50, &err) == -1 && err.code == EXIT_PEER,
          "nobody listens any more: %s", err.message);
}

/* The bug was that a socket left behind by kill -9 kept the next start from listening. */
static void
test_stale_socket(void)
{
    struct err err = {0};
    int status, fd;
    pid_t child = fork();

    if (child == 0) {
        if (sock_listen(in_directory("stale"), &err) < 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, &status, 0);
    fd = sock_listen(in_directory("stale"), &err);
    check(WIFSIGNALED(status) && fd >= 0, "a stale socket is taken over");
    close(fd);
}

static void
test_path_length(void)
{
    char longest[SOCKET_PATH_MAX + 2] = {0};
    struct err err = {0};
    int fd;

    snprintf(longest, sizeof longest, "%s/", directory);
    memset(longest + strlen(longest), 'x', SOCKET_PATH_MAX - strlen(longest));
    fd = sock_listen(longest, &err);
    check(fd >= 0, "a path of %d bytes %s", SOCKET_PATH_MAX, err.message);
    close(fd);
    longest[SOCKET_PATH_MAX] = 'y';
    check(sock_listen(longest, &err) == -1 && err.code == EXIT_REFUSED, "one byte more: %s",
          err.message);
}

int
main(void)
{
    char *arguments[] = {"rm", "-rf", directory, NULL};

    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(directory) == NULL)
        abort();
    test_reader_gone();
    test_nonblocking_is_private();
    test_write_all_waits();
    test_output_paths();
    test_input_paths();
    test_sockets();
    test_stale_socket();
    test_path_length();
    check_done();
    fflush(stdout);
    if (fork() == 0)
        execvp("rm", arguments);
    wait(NULL);
    return checks_failed == 0 ? 0 : 1;
}
