/* workers.c: see workers.h. A worker reads the number of an item, and answers with messages, of
 * which an answer or a failure is the last one. */
#include "walpipe/compare/workers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "walpipe/spawn.h"

#define WORKERS_MAX 64

enum kind { PROGRESS, ANSWER, FAILURE };

struct message {
    uint32_t kind;
    uint32_t code; /* of a failure, whose text is a message and a hint, each with its NUL */
    uint64_t len;  /* of the text behind it */
    uint64_t rows, differences, omissions;
};

struct worker {
    pid_t pid;
    int fd; /* -1 if it has ended */
    bool busy;
};

/* Returns false at the end. */
static bool
read_all(int fd, void *into, size_t len)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = read(fd, (char *)into + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static int
send_message(int fd, const struct message *m, const char *text, struct err *err)
{
    struct bytes head = {(const uint8_t *)m, sizeof *m};

    if (io_write_all(fd, head, err) != 0)
        return -1;
    return m->len == 0 ? 0 : io_write_all(fd, (struct bytes){(const uint8_t *)text, m->len}, err);
}

void
workers_progress(int fd, uint64_t rows)
{
    struct err ignored = {0};
    const struct message m = {.kind = PROGRESS, .rows = rows};

    (void)!send_message(fd, &m, NULL, &ignored);
}

/* ---- the worker ---- */

static int
send_answer(int fd, const struct workers_answer *answer, struct err *err)
{
    const struct message m = {.kind = ANSWER,
                              .len = answer->len,
                              .rows = answer->rows,
                              .differences = answer->differences,
                              .omissions = answer->omissions};

    return send_message(fd, &m, answer->text, err);
}

static void
send_failure(int fd, const struct err *why)
{
    char text[sizeof why->message + sizeof why->hint + 2];
    size_t first = strlen(why->message) + 1, second = strlen(why->hint) + 1;
    const struct message m = {.kind = FAILURE, .code = (uint32_t)why->code, .len = first + second};
    struct err ignored = {0};

    memcpy(text, why->message, first);
    memcpy(text + first, why->hint, second);
    (void)!send_message(fd, &m, text, &ignored);
}

static void
be_worker(const struct workers *w, uint32_t number, int fd)
{
    struct err err = {0};
    uint32_t item;
    int rc = w->begin(w->context, number, fd, &err);

    while (rc == 0 && read_all(fd, &item, sizeof item)) {
        struct workers_answer answer = {0};

        rc = w->work(w->context, item, &answer, &err);
        if (rc == 0)
            rc = send_answer(fd, &answer, &err);
        free(answer.text);
    }
    if (rc != 0)
        send_failure(fd, &err);
}

/* ---- the caller ---- */

/* The others' descriptors would keep them from noticing the end. */
static int
start(const struct workers *w, struct worker *list, uint32_t number, struct err *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_set(err, EXIT_PEER, "could not make a socket: %s", strerror(errno));
    list[number].pid = fork();
    if (list[number].pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        for (uint32_t i = 0; i < number; i++)
            close(list[i].fd);
        be_worker(w, number, ends[1]);
        _exit(EXIT_DONE);
    }
    close(ends[1]);
    list[number].fd = ends[0];
    if (list[number].pid > 0)
        return 0;
    close(ends[0]);
    return err_set(err, EXIT_PEER, "could not start a process: %s", strerror(errno));
}

static int
take_failure(const struct message *m, const char *text, struct err *err)
{
    const char *hint = text + strnlen(text, m->len) + 1;

    err_set(err, (enum exit_code)m->code, "%s", text);
    return hint < text + m->len && hint[0] != '\0' ? err_hint(err, "%s", hint) : -1;
}

static int
hear(const struct workers *w, struct worker *worker, struct err *err)
{
    struct message m;
    char *text;
    int rc = 0;

    if (!read_all(worker->fd, &m, sizeof m))
        return err_set(err, EXIT_PEER, "a process of the comparison has ended");
    text = calloc(1, m.len + 1);
    if (text == NULL || !read_all(worker->fd, text, m.len)) {
        rc = err_set(err, EXIT_PEER, "could not read a result of the comparison");
    } else if (m.kind == PROGRESS) {
        w->progress(w->context, m.rows);
    } else if (m.kind == ANSWER) {
        const struct workers_answer answer = {m.rows, m.differences, m.omissions, text, m.len};

        w->take(w->context, &answer);
        worker->busy = false;
    } else {
        rc = take_failure(&m, text, err);
    }
    free(text);
    return rc;
}

/* Gives each idle worker an item. Returns the number of workers that are busy, or -1 with err. */
static int
give(struct worker *list, uint32_t count, uint32_t *next, uint32_t items, struct err *err)
{
    int busy = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (!list[i].busy && *next < items) {
            if (io_write_all(list[i].fd, (struct bytes){(const uint8_t *)next, sizeof *next},
                             err) != 0)
                return -1;
            ++*next;
            list[i].busy = true;
        }
        busy += list[i].busy;
    }
    return busy;
}

static int
serve(const struct workers *w, struct worker *list, uint32_t items, struct err *err)
{
    uint32_t next = 0;
    int busy;

    while ((busy = give(list, w->count, &next, items, err)) > 0) {
        struct pollfd fds[WORKERS_MAX];

        for (uint32_t i = 0; i < w->count; i++)
            fds[i] = (struct pollfd){.fd = list[i].fd, .events = POLLIN};
        if (poll(fds, w->count, -1) < 0 && errno != EINTR)
            return err_set(err, EXIT_PEER, "could not wait: %s", strerror(errno));
        for (uint32_t i = 0; i < w->count; i++)
            if (fds[i].revents != 0 && hear(w, &list[i], err) != 0)
                return -1;
    }
    return busy;
}

int
workers_run(const struct workers *w, uint32_t items, struct err *err)
{
    struct worker list[WORKERS_MAX] = {0};
    struct err ignored = {0};
    uint32_t started = 0;
    int rc = 0;

    fflush(NULL);
    for (; rc == 0 && started < w->count && started < WORKERS_MAX; started++)
        rc = start(w, list, started, err);
    if (rc == 0)
        rc = serve(w, list, items, err);
    else
        started--;
    for (uint32_t i = 0; i < started; i++) {
        close(list[i].fd);
        if (rc != 0)
            kill(list[i].pid, SIGKILL);
    }
    for (uint32_t i = 0; i < started; i++)
        (void)!spawn_wait(list[i].pid, &ignored);
    return rc;
}
