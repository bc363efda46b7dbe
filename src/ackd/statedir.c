/* statedir.c: see statedir.h. */
#include "ackd/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "ackd.lock"

/* The checkpoint decides what is confirmed to the source: whoever may write here can lose data. */
static int
check_private(const char *path, int dir, struct err *err)
{
    struct stat st;

    if (fstat(dir, &st) != 0)
        return err_set(err, EXIT_PEER, "could not examine state directory \"%s\": %s", path,
                       strerror(errno));
    if (st.st_uid != geteuid()) {
        err_set(err, EXIT_REFUSED, "state directory \"%s\" belongs to user id %u, not to %u", path,
                (unsigned)st.st_uid, (unsigned)geteuid());
        return err_hint(err, "run walpipe as the user that owns it, or choose another state_dir");
    }
    if ((st.st_mode & 077) != 0) {
        err_set(err, EXIT_REFUSED, "state directory \"%s\" has mode %04o, others may use it", path,
                (unsigned)(st.st_mode & 07777));
        return err_hint(err, "chmod 0700 %s", path);
    }
    return 0;
}

/* The lock lives as long as the process, so its descriptor is left open on purpose. */
static int
take_lock(const char *path, int dir, struct err *err)
{
    int fd = openat(dir, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_set(err, EXIT_REFUSED, "could not open \"%s/%s\": %s", path, LOCK_NAME,
                       strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        err_set(err, EXIT_PEER, "state directory \"%s\" is in use by another ackd", path);
        return err_hint(err, "two pipelines need two directories; see who holds %s/%s", path,
                        LOCK_NAME);
    }
    return 0;
}

int
statedir_open(const char *path, struct err *err)
{
    int dir;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        err_set(err, EXIT_REFUSED, "could not make state directory \"%s\": %s", path,
                strerror(errno));
        return err_hint(err, "its parent directory must exist and be writable");
    }
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, EXIT_REFUSED, "could not open state directory \"%s\": %s", path,
                       strerror(errno));
    if (check_private(path, dir, err) != 0 || take_lock(path, dir, err) != 0) {
        close(dir);
        return -1;
    }
    return dir;
}
