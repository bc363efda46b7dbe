/* lib_sandbox.c: the calls that a process can still make in the sandbox, and those that end it.
 * Each try is in a child.
 * links: lib/sandbox lib/log lib/lsn lib/err; */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lib/log.h"
#include "lib/sandbox.h"

static int pipe_ends[2];

/* Not by _exit(), because AddressSanitizer would look for leaks, and must not. */
static void
leave(int code)
{
    syscall(SYS_exit_group, code);
}

static struct log sandboxed = {.program = "sandboxed"};

static void
work(void)
{
    struct pollfd waiting = {.fd = pipe_ends[0], .events = POLLIN};
    char text[8];
    char *big;

    if (write(pipe_ends[1], "hello", 5) != 5 || poll(&waiting, 1, 1000) != 1 ||
        read(pipe_ends[0], text, sizeof text) != 5)
        leave(1);
    big = mmap(NULL, 64u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (big == MAP_FAILED)
        leave(2);
    big[1000] = 1;
    if (mremap(big, 64u << 20, 128u << 20, MREMAP_MAYMOVE) == MAP_FAILED)
        leave(3);
    log_write(&sandboxed, LOG_INFO, "this goes to stderr");
}

/* The bug was that walpipe did not hear why pgout-decode and route ended. */
static void
leave_last_words(void)
{
    struct err err;

    err_set(&err, EXIT_PEER, "the reason");
    if (log_failure(&sandboxed, &err) != EXIT_PEER)
        leave(1);
}

static void
open_file(void)
{
    (void)!open("/etc/hostname", O_RDONLY | O_CLOEXEC);
}

static void
make_socket(void)
{
    (void)!socket(AF_INET, SOCK_STREAM, 0);
}

/* Also of a socket that was open before. */
static void
connect_socket(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET};

    (void)!connect(pipe_ends[0], (struct sockaddr *)&where, sizeof where);
}

static void
execute(void)
{
    char *argv[] = {"true", NULL};

    execve("/bin/true", argv, argv + 1);
}

static void
fork_child(void)
{
    if (fork() == 0)
        _exit(0);
}

static void
map_code(void)
{
    (void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
signal_parent(void)
{
    kill(getppid(), 0);
}

static void
trace_parent(void)
{
    (void)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void
gain_privileges(void)
{
    (void)!setuid(0);
}

static void
abort_itself(void)
{
    signal(SIGABRT, SIG_DFL);
    abort();
}

/* The status of a child, from wait(2), that tried it in the sandbox. */
static int
in_sandbox(void (*try)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (sandbox_enter() != SANDBOX_ON)
            _exit(77);
        try();
        leave(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void
check_last_words(void)
{
    char path[] = "/tmp/wt-lastwords.XXXXXX", text[32] = "";
    int fd = mkstemp(path), status;

    check(fd >= 0 && setenv(LOG_LAST_WORDS, path, 1) == 0, "a file for the last words");
    log_open_last_words(&sandboxed);
    status = in_sandbox(leave_last_words);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "last words do not end it (%x)",
          (unsigned)status);
    check(read(fd, text, sizeof text - 1) > 0 && strcmp(text, "own\nthe reason\n\n") == 0,
          "and are in the file: %s", text);
    close(fd);
    unlink(path);
}

int
main(void)
{
    static const struct {
        const char *name;
        void (*try)(void);
    } forbidden[] = {
        {"open", open_file},     {"socket", make_socket},  {"connect", connect_socket},
        {"exec", execute},       {"fork", fork_child},     {"code", map_code},
        {"kill", signal_parent}, {"ptrace", trace_parent}, {"setuid", gain_privileges},
    };
    int status;

    log_begin(&sandboxed, LOG_INFO, LOG_AUTO);
    check(pipe(pipe_ends) == 0, "a pipe");
    status = in_sandbox(work);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        check(true, "no seccomp here # skip");
        return check_done();
    }
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "reading, writing, polling, memory and logging go on (%x)", (unsigned)status);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        status = in_sandbox(forbidden[i].try);
        check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s ends the process (%x)",
              forbidden[i].name, (unsigned)status);
    }
    check_last_words();
    status = in_sandbox(abort_itself);
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "abort is abort (%x)",
          (unsigned)status);
    return check_done();
}
