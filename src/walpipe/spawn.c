/* spawn.c: see spawn.h. */
#include "walpipe/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/sig.h"

/* The descriptors' final numbers may be taken by others of them, so all are first moved above
 * those. close-on-exec closes every descriptor that is not moved to its place. */
static int
place_descriptors(const struct spawn *s, int report)
{
    int base = 3 + (int)s->extra_count;
    int moved[WORKERS_MAX];
    int in = fcntl(s->in, F_DUPFD_CLOEXEC, base);
    int out = fcntl(s->out, F_DUPFD_CLOEXEC, base);
    int errors = s->errors == 0 ? STDERR_FILENO : fcntl(s->errors, F_DUPFD_CLOEXEC, base);
    int kept = fcntl(report, F_DUPFD_CLOEXEC, base);

    for (size_t i = 0; i < s->extra_count; i++)
        moved[i] = fcntl(s->extra[i], F_DUPFD_CLOEXEC, base);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(errors, STDERR_FILENO) < 0)
        return -1;
    for (size_t i = 0; i < s->extra_count; i++)
        if (dup2(moved[i], 3 + (int)i) < 0)
            return -1;
    /* Descriptors that walpipe itself inherited, for example from a shell or a test harness, are
     * not for a child. An old kernel lacks the call. */
    (void)close_range((unsigned)base, ~0u, CLOSE_RANGE_CLOEXEC);
    return kept;
}

/* Reports errno to the parent by report, which the exec closes if it succeeds. */
static _Noreturn void
become(const struct spawn *s, pid_t parent, int report)
{
    int why, kept;

    /* walpipe may have died between fork and prctl, and then nobody would send the signal. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(EXIT_PEER);
    if (s->own_group)
        setpgid(0, 0);
    sig_reset_for_exec(!s->foreign);
    kept = place_descriptors(s, report);
    if (kept >= 0) {
        /* execve takes non-const pointers for history's sake and changes nothing. */
        execve(s->file, (char *const *)(uintptr_t)s->argv, (char *const *)(uintptr_t)s->env);
        report = kept;
    }
    why = errno;
    if (write(report, &why, sizeof why) < 0)
        _exit(EXIT_PEER);
    _exit(EXIT_PEER);
}

static int
spawn_error(const struct spawn *s, int why, struct err *err)
{
    bool final = why == ENOENT || why == EACCES || why == ENOEXEC || why == ENOTDIR;

    err_set(err, final ? EXIT_REFUSED : EXIT_PEER, "could not start \"%s\": %s", s->file,
            strerror(why));
    if (final)
        err_hint(err, "walpipe's programs must be in the same directory as walpipe");
    return -1;
}

pid_t
spawn_child(const struct spawn *s, struct err *err)
{
    pid_t parent = getpid(), pid;
    int report[2], why = 0;
    ssize_t n;

    if (s->extra_count > WORKERS_MAX)
        return err_set(err, EXIT_BUG, "too many descriptors for one child");
    if (pipe2(report, O_CLOEXEC) != 0)
        return err_set(err, EXIT_PEER, "could not make a pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        become(s, parent, report[1]);
    why = pid < 0 ? errno : 0;
    close(report[1]);
    do
        n = pid < 0 ? 0 : read(report[0], &why, sizeof why);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (why == 0)
        return pid;
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return spawn_error(s, why, err);
}

int
spawn_exit_code(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int
spawn_wait(pid_t pid, struct err *err)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(err, EXIT_PEER, "could not wait for a child: %s", strerror(errno));
    return spawn_exit_code(status);
}
