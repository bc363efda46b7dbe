/* orphans.c: see orphans.h. */
#include "walpipe/orphans.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The pids of walpipe's children now, at most max. Empty if the kernel does not report them. */
static size_t
list_children(pid_t *pids, size_t max)
{
    char path[64];
    size_t count = 0;
    FILE *file;
    int pid;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (count < max && fscanf(file, "%d", &pid) == 1)
        pids[count++] = pid;
    fclose(file);
    return count;
}

void
orphans_watch(struct orphans *o)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    o->noted_count = list_children(o->noted, ORPHANS_NOTED_MAX);
}

static bool
is_noted(const struct orphans *o, pid_t pid)
{
    for (size_t i = 0; i < o->noted_count; i++)
        if (o->noted[i] == pid)
            return true;
    return false;
}

void
orphans_end(const struct orphans *o)
{
    pid_t pids[256];

    /* Killed processes leave their own children to walpipe. So repeat it until none is left. */
    for (int round = 0; round < 100; round++) {
        size_t count = list_children(pids, sizeof pids / sizeof *pids), killed = 0;

        for (size_t i = 0; i < count; i++)
            if (!is_noted(o, pids[i]) && kill(pids[i], SIGKILL) == 0)
                killed++;
        if (killed == 0)
            return;
        poll(NULL, 0, 10);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    }
}
