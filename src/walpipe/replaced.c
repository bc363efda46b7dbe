/* replaced.c: see replaced.h. */
#include "walpipe/replaced.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The restarts of the old walpipe. The new one counts on, and does not take a login that fails for
 * the first of its run. */
#define RESTARTS_ENV "WALPIPE_RESTARTS"

void
replaced_watch(struct replaced *replaced, struct pool *pool)
{
    const char *restarts = getenv(RESTARTS_ENV);
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    struct stat file;

    *replaced = (struct replaced){0};
    if (restarts != NULL)
        replaced->restarts = strtoull(restarts, NULL, 10);
    unsetenv(RESTARTS_ENV);
    if (len <= 0 || stat("/proc/self/exe", &file) != 0)
        return;
    replaced->file = pool_copy_bytes(pool, path, (size_t)len);
    replaced->device = file.st_dev;
    replaced->inode = file.st_ino;
}

bool
replaced_seen(const struct replaced *replaced)
{
    struct stat now;

    return replaced->file != NULL && stat(replaced->file, &now) == 0 &&
           (now.st_dev != replaced->device || now.st_ino != replaced->inode);
}

int
replaced_continue(const struct replaced *replaced, char *const *argv, struct notify *notify,
                  uint64_t restarts, struct err *err)
{
    char number[24];

    snprintf(number, sizeof number, "%llu", (unsigned long long)restarts);
    notify_hand_on(notify);
    if (setenv(RESTARTS_ENV, number, 1) == 0)
        execv(replaced->file, argv);
    return err_set(err, EXIT_PEER, "could not start the new \"%s\": %s", replaced->file,
                   strerror(errno));
}
