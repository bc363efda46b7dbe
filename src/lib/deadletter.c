/* deadletter.c: see deadletter.h. */
#include "lib/deadletter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/io.h"

/* Bytes that wait to be written. One frame may come on top. */
#define OUT_MAX ((size_t)256 << 10)

static int
fail(const char *what, const char *path, struct err *err)
{
    err_set(err, EXIT_PEER, "could not %s \"%s\": %s", what, path, strerror(errno));
    return err_hint(err, "the changes that are skipped must be in this file first");
}

int
deadletter_directory(const char *socket, char *out, struct err *err)
{
    char copy[DEADLETTER_PATH_SIZE];

    if ((size_t)snprintf(copy, sizeof copy, "%s", socket) >= sizeof copy)
        return err_set(err, EXIT_REFUSED, "the path \"%.100s...\" is too long", socket);
    snprintf(out, DEADLETTER_PATH_SIZE, "%s", dirname(copy));
    return 0;
}

/* While the file is written. */
static void
unfinished_path(const struct deadletter *d, char *out, size_t size)
{
    snprintf(out, size, "%.*s.new", DEADLETTER_PATH_SIZE - 8, d->path);
}

static int
write_out(struct deadletter *d, struct err *err)
{
    struct bytes bytes = {.data = d->out.data + d->out.start, .len = buf_len(&d->out)};
    ssize_t n = 0;

    if (d->out.failed)
        return err_set(err, EXIT_PEER, "out of memory for the changes that are skipped");
    while (bytes.len > 0) {
        n = write(d->fd, bytes.data, bytes.len);
        if (n < 0 && errno != EINTR)
            return fail("write", d->path, err);
        if (n > 0) {
            bytes.data += n;
            bytes.len -= (size_t)n;
        }
    }
    buf_reset(&d->out, OUT_MAX);
    return 0;
}

static size_t
put_path(const struct deadletter *d, uint64_t commit_lsn, const char *ordinal, char *out)
{
    return (size_t)snprintf(out, DEADLETTER_PATH_SIZE,
                            "%s/skipped.%s.%" PRIX32 "-%" PRIX32 ".%" PRIu32 ".%s", d->directory,
                            d->hello->sink, (uint32_t)(commit_lsn >> 32), (uint32_t)commit_lsn,
                            d->hello->shard, ordinal);
}

void
deadletter_names(const struct deadletter *d, uint64_t commit_lsn, char *out)
{
    (void)put_path(d, commit_lsn, "*", out);
}

static int
open_file(struct deadletter *d, const struct begin_event *begin, uint64_t ordinal, struct err *err)
{
    char fresh[DEADLETTER_PATH_SIZE], number[24];
    struct hello hello = *d->hello;

    snprintf(number, sizeof number, "%" PRIu64, ordinal);
    if (put_path(d, begin->commit_lsn, number, d->path) >= sizeof d->path - 8)
        return err_set(err, EXIT_REFUSED, "the path \"%.100s...\" is too long", d->directory);
    unfinished_path(d, fresh, sizeof fresh);
    d->fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->fd < 0)
        return fail("create", fresh, err);
    d->open = true;
    d->begin = *begin;
    d->events = 0;
    buf_reset(&d->out, OUT_MAX);
    hello.version = STREAM_VERSION;
    if (hello_encode(&d->out, &hello) != 0 || begin_encode(&d->out, begin) != 0)
        return err_set(err, EXIT_PEER, "out of memory for the changes that are skipped");
    return 0;
}

int
deadletter_describe(struct deadletter *d, const struct begin_event *begin, uint64_t ordinal,
                    const struct relation *relation, struct err *err)
{
    void *replaced;

    if (!d->open && open_file(d, begin, ordinal, err) != 0)
        return -1;
    if (relmap_get(&d->described, relation->relid) != NULL)
        return 0;
    if (relation_encode(&d->out, relation) != 0 ||
        relmap_put(&d->described, relation->relid, d, &replaced) != 0)
        return err_set(err, EXIT_PEER, "out of memory for the changes that are skipped");
    return 0;
}

int
deadletter_change(struct deadletter *d, struct bytes frame, struct err *err)
{
    buf_append(&d->out, frame.data, frame.len);
    d->events++;
    return d->out.failed || buf_len(&d->out) >= OUT_MAX ? write_out(d, err) : 0;
}

void
deadletter_forget(struct deadletter *d)
{
    relmap_free(&d->described);
    d->described = (struct relmap){0};
}

static int
sync_directory(const struct deadletter *d, struct err *err)
{
    int dir = open(d->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (dir < 0)
        return fail("open", d->directory, err);
    rc = fsync(dir) == 0 ? 0 : fail("sync", d->directory, err);
    close(dir);
    return rc;
}

static void
close_file(struct deadletter *d)
{
    close(d->fd);
    d->open = false;
    deadletter_forget(d);
}

int
deadletter_finish(struct deadletter *d, struct err *err)
{
    char fresh[DEADLETTER_PATH_SIZE];
    const struct commit_event commit = {.commit_lsn = d->begin.commit_lsn,
                                        .end_lsn = d->begin.commit_lsn,
                                        .commit_time = d->begin.commit_time,
                                        .events = d->events};

    if (!d->open)
        return 0;
    unfinished_path(d, fresh, sizeof fresh);
    if (commit_encode(&d->out, &commit) != 0 || end_encode(&d->out, "skipped") != 0)
        return err_set(err, EXIT_PEER, "out of memory for the changes that are skipped");
    if (write_out(d, err) != 0)
        return -1;
    if (fsync(d->fd) != 0)
        return fail("sync", fresh, err);
    if (rename(fresh, d->path) != 0)
        return fail("rename", fresh, err);
    close_file(d);
    return sync_directory(d, err);
}

void
deadletter_free(struct deadletter *d)
{
    char fresh[DEADLETTER_PATH_SIZE];

    if (d->open) {
        unfinished_path(d, fresh, sizeof fresh);
        (void)unlink(fresh);
        close_file(d);
    }
    buf_free(&d->out);
    relmap_free(&d->described);
}
