/* secretfile.c: see secretfile.h. */
#include "lib/secretfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
is_open_to_others(const struct stat *info)
{
    mode_t forbidden = S_IRWXG | S_IRWXO;

    if (info->st_uid == 0 && geteuid() != 0)
        forbidden = S_IWGRP | S_IXGRP | S_IRWXO;
    return (info->st_mode & forbidden) != 0;
}

/* With 0600 a file of root's would be closed to walpipe too. */
static int
hint_closing(const char *path, const struct stat *info, struct err *err)
{
    if (info->st_uid == geteuid())
        return err_hint(err, "chmod 600 %s; for a secret of Kubernetes defaultMode: 0400", path);
    if (info->st_uid == 0)
        return err_hint(err,
                        "chmod 640 %s, with a group of this user; for a secret of Kubernetes "
                        "defaultMode: 0440 and an fsGroup",
                        path);
    return err_hint(err, "chown it to this user and chmod 600 it, or to root and chmod 640 it");
}

int
secretfile_check(const char *kind, const char *path, int fd, struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return err_set(err, EXIT_REFUSED, "could not look at %s file \"%s\": %s", kind, path,
                       strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, EXIT_REFUSED, "%s file \"%s\" is not a regular file", kind, path);
    if (!is_open_to_others(&info))
        return 0;
    err_set(err, EXIT_REFUSED, "%s file \"%s\" is open to others (mode %04o)", kind, path,
            (unsigned)info.st_mode & 07777);
    return hint_closing(path, &info, err);
}

/* Without the line breaks at the end. */
static size_t
secret_len(const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    return len;
}

static int
read_open(const char *kind, const char *path, int fd, char *out, size_t size, struct err *err)
{
    char text[SECRETFILE_MAX + 2];
    ssize_t n;
    size_t len;

    if (secretfile_check(kind, path, fd, err) != 0)
        return -1;
    n = read(fd, text, sizeof text);
    if (n < 0)
        return err_set(err, EXIT_REFUSED, "could not read %s file \"%s\": %s", kind, path,
                       strerror(errno));
    len = secret_len(text, (size_t)n);
    if (len >= size || len >= SECRETFILE_MAX)
        return err_set(err, EXIT_REFUSED, "%s file \"%s\" is too long", kind, path);
    if (memchr(text, '\0', len) != NULL)
        return err_set(err, EXIT_REFUSED, "%s file \"%s\" holds a NUL", kind, path);
    memcpy(out, text, len);
    out[len] = '\0';
    return 0;
}

int
secretfile_read(const char *kind, const char *path, char *out, size_t size, struct err *err)
{
    /* A FIFO would be waited for without O_NONBLOCK, and is refused then. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result;

    if (fd < 0)
        return err_set(err, EXIT_REFUSED, "could not open %s file \"%s\": %s", kind, path,
                       strerror(errno));
    result = read_open(kind, path, fd, out, size, err);
    close(fd);
    return result;
}
