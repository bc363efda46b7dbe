/* helper.c: see helper.h. */
#include "walpipe/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "walpipe/plan.h"
#include "walpipe/spawn.h"

/* A check of 10,000 tables of 100 columns stays far below. */
#define OUTPUT_MAX (64u << 20)

static int
read_output(int fd, struct buf *out, struct err *err)
{
    for (;;) {
        ssize_t n;

        if (buf_len(out) > OUTPUT_MAX || buf_reserve(out, 65536) != 0)
            return err_set(err, EXIT_PEER, "could not keep the output of a program: out of memory");
        n = read(fd, out->data + out->end, 65536);
        if (n == 0)
            return 0;
        if (n > 0)
            out->end += (size_t)n;
        else if (errno != EINTR)
            return err_set(err, EXIT_PEER, "could not read the output of a program: %s",
                           strerror(errno));
    }
}

static int
run_with_pipe(struct spawn *spawn, struct pool *pool, char **output, struct err *err)
{
    struct buf out = {0};
    int ends[2], code, result;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, EXIT_PEER, "could not make a pipe: %s", strerror(errno));
    spawn->out = ends[1];
    pid = spawn_child(spawn, err);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -1;
    }
    result = read_output(ends[0], &out, err);
    close(ends[0]);
    code = spawn_wait(pid, err);
    *output =
        pool_copy_bytes(pool, buf_len(&out) == 0 ? "" : (const char *)out.data, buf_len(&out));
    buf_free(&out);
    return result != 0 ? -1 : code;
}

int
helper_run(const struct helper *h, struct pool *pool, char **output, struct err *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), result;
    struct spawn spawn = {.file = plan_program_path(pool, h->directory, h->argv[0]),
                          .argv = h->argv,
                          .env = h->env,
                          .in = h->in < 0 ? null : h->in,
                          .errors = h->errors,
                          .extra = &h->out,
                          .extra_count = h->out < 0 ? 0 : 1};

    if (null < 0)
        return err_set(err, EXIT_PEER, "could not open /dev/null: %s", strerror(errno));
    result = run_with_pipe(&spawn, pool, output, err);
    close(null);
    return result;
}
