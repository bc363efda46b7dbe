/* statedir.c: see statedir.h. */
#include "lib/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/lockfile.h"

#define WALPIPE_LOCK "lock"

int
statedir_make_parents(const char *path, struct err *err)
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
        err_set(err, EXIT_REFUSED, "state directory \"%s\" is open to other users (mode %04o)",
                path, (unsigned)(st.st_mode & 07777));
        return err_hint(err, "chmod 0700 %s", path);
    }
    return 0;
}

int
statedir_open_existing(const char *path, struct err *err)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 && errno == ENOENT)
        return STATEDIR_MISSING;
    if (dir < 0 && errno == ENOTDIR)
        return err_set(err, EXIT_REFUSED, "state directory \"%s\" is not a directory", path);
    if (dir < 0)
        return err_set(err, EXIT_REFUSED, "could not open state directory \"%s\": %s", path,
                       strerror(errno));
    if (check_private(path, dir, err) == 0)
        return dir;
    close(dir);
    return -1;
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
    dir = statedir_open_existing(path, err);
    if (dir == STATEDIR_MISSING)
        return err_set(err, EXIT_PEER, "state directory \"%s\" was removed again", path);
    return dir;
}

/* Parses lines of /proc/locks, such as "1: FLOCK  ADVISORY  WRITE 4711 08:01:262146 0 EOF". */
static pid_t
locked_by(ino_t inode)
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[256], wanted[32];
    int pid = 0;

    if (locks == NULL)
        return 0;
    snprintf(wanted, sizeof wanted, ":%llu ", (unsigned long long)inode);
    while (pid == 0 && fgets(line, sizeof line, locks) != NULL)
        if (strstr(line, wanted) == NULL || sscanf(line, "%*s FLOCK %*s %*s %d", &pid) != 1)
            pid = 0;
    fclose(locks);
    return pid;
}

pid_t
statedir_runner(const char *path)
{
    char lock[SOCKET_PATH_MAX + 8];
    struct stat st;

    snprintf(lock, sizeof lock, "%s/%s", path, WALPIPE_LOCK);
    return stat(lock, &st) == 0 ? locked_by(st.st_ino) : 0;
}

bool
statedir_is_run(const char *path)
{
    return statedir_runner(path) != 0;
}

int
statedir_lock(int dir, const char *path, enum statedir_user user, struct err *err)
{
    const char *name = user == STATEDIR_ACKD ? "ackd.lock" : WALPIPE_LOCK;
    char shown[1024];
    int fd;

    snprintf(shown, sizeof shown, "%s/%s", path, name);
    fd = lockfile_take(dir, name, shown, err);
    if (fd != LOCKFILE_HELD)
        return fd;
    err_set(err, user == STATEDIR_ACKD ? EXIT_PEER : EXIT_REFUSED,
            "state directory \"%s\" is in use by another %s", path,
            user == STATEDIR_ACKD ? "ackd" : "walpipe");
    err_hint(err, "each pipeline needs a state_dir of its own; fuser %.400s shows who has it",
             shown);
    return STATEDIR_IN_USE;
}
