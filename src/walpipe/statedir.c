/* statedir.c: see statedir.h. */
#include "walpipe/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"

int
statedir_check(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set(err, errno == ENOENT ? EXIT_DONE : EXIT_REFUSED,
                       "could not examine state directory \"%s\": %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, EXIT_REFUSED, "state directory \"%s\" is not a directory", path);
    if (st.st_uid != geteuid()) {
        err_set(err, EXIT_REFUSED, "state directory \"%s\" belongs to user id %u", path,
                (unsigned)st.st_uid);
        return err_hint(err, "run walpipe as that user, or give it a directory of user id %u",
                        (unsigned)geteuid());
    }
    if ((st.st_mode & 077) != 0) {
        err_set(err, EXIT_REFUSED, "state directory \"%s\" is open to other users (mode %04o)",
                path, (unsigned)st.st_mode & 07777);
        return err_hint(err, "chmod 0700 %s", path);
    }
    return 0;
}

static int
make_parents(const char *path, struct err *err)
{
    char parent[SOCKET_PATH_MAX + 1];

    if ((size_t)snprintf(parent, sizeof parent, "%s", path) >= sizeof parent)
        return err_set(err, EXIT_REFUSED, "path \"%s\" is too long", path);
    for (char *slash = strchr(parent + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(parent, 0777) != 0 && errno != EEXIST) {
            err_set(err, EXIT_REFUSED, "could not make directory \"%s\": %s", parent,
                    strerror(errno));
            return err_hint(err, "make it and give it to the user that runs walpipe");
        }
        *slash = '/';
    }
    return 0;
}

int
statedir_make(const char *path, struct err *err)
{
    if (make_parents(path, err) != 0)
        return -1;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        err_set(err, EXIT_REFUSED, "could not make state directory \"%s\": %s", path,
                strerror(errno));
        return err_hint(err, "make it with mode 0700 for the user that runs walpipe");
    }
    if (statedir_check(path, err) != 0) {
        err->code = EXIT_REFUSED;
        return -1;
    }
    return 0;
}

int
statedir_lock(const char *path, struct err *err)
{
    char lock[SOCKET_PATH_MAX + sizeof "/lock"];
    int fd, why;

    snprintf(lock, sizeof lock, "%s/lock", path);
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, EXIT_REFUSED, "could not open \"%s\": %s", lock, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    why = errno;
    close(fd);
    if (why != EWOULDBLOCK)
        return err_set(err, EXIT_REFUSED, "could not lock \"%s\": %s", lock, strerror(why));
    err_set(err, EXIT_REFUSED, "another walpipe uses the state directory \"%s\"", path);
    return err_hint(err, "each pipeline needs its own state_dir; fuser %s shows who has it", lock);
}
