/* lockfile.c: see lockfile.h. */
#include "lib/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int
lockfile_take(int dir, const char *name, const char *path, struct err *err)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int why;

    if (fd < 0)
        return err_set(err, EXIT_REFUSED, "could not open \"%s\": %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    why = errno;
    close(fd);
    if (why == EWOULDBLOCK)
        return LOCKFILE_HELD;
    return err_set(err, EXIT_REFUSED, "could not lock \"%s\": %s", path, strerror(why));
}
