/* statefile.c: see statefile.h. Must not know the content of a file. */
#include "lib/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"

#define PATH_SIZE 4096

static int
fail(const char *what, const char *path, struct err *err)
{
    return err_set(err, EXIT_PEER, "could not %s \"%s\": %s", what, path, strerror(errno));
}

/* A rename or a removal is durable when its directory is. */
static int
sync_directory(const char *path, struct err *err)
{
    char copy[PATH_SIZE];
    int dir, rc;

    snprintf(copy, sizeof copy, "%s", path);
    dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return fail("open the directory of", path, err);
    rc = fsync(dir) == 0 ? 0 : fail("sync the directory of", path, err);
    close(dir);
    return rc;
}

static int
write_synced(const char *path, const char *text, struct err *err)
{
    struct bytes bytes = {.data = (const uint8_t *)text, .len = strlen(text)};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc;

    if (fd < 0)
        return fail("create", path, err);
    rc = io_write_all(fd, bytes, err);
    if (rc == 0 && fsync(fd) != 0)
        rc = fail("sync", path, err);
    close(fd);
    return rc;
}

int
statefile_write(const char *path, const char *text, struct err *err)
{
    char fresh[PATH_SIZE];

    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh)
        return err_set(err, EXIT_REFUSED, "the path \"%.100s...\" is too long", path);
    if (write_synced(fresh, text, err) != 0)
        return -1;
    if (rename(fresh, path) != 0)
        return fail("rename", fresh, err);
    return sync_directory(path, err);
}

int
statefile_read(const char *path, char **text, struct err *err)
{
    FILE *file = fopen(path, "re");
    size_t len;
    int rc = 0;

    *text = NULL;
    if (file == NULL)
        return errno == ENOENT ? 0 : fail("open", path, err);
    *text = malloc(STATEFILE_MAX + 1);
    if (*text == NULL) {
        fclose(file);
        return err_set(err, EXIT_PEER, "out of memory for \"%s\"", path);
    }
    len = fread(*text, 1, STATEFILE_MAX + 1, file);
    if (ferror(file))
        rc = fail("read", path, err);
    else if (len > STATEFILE_MAX)
        rc = err_set(err, EXIT_REFUSED, "\"%s\" is longer than %u bytes", path, STATEFILE_MAX);
    else
        (*text)[len] = '\0';
    fclose(file);
    if (rc != 0) {
        free(*text);
        *text = NULL;
    }
    return rc;
}

int
statefile_remove(const char *path, struct err *err)
{
    if (unlink(path) == 0)
        return sync_directory(path, err);
    return errno == ENOENT ? 0 : fail("remove", path, err);
}
