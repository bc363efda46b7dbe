/* nofile.c: see nofile.h. Found out when the pipeline is half started, or by ackd when the last
 * worker connects, it would be a riddle (trap 153). */
#include "walpipe/nofile.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* route is started with two numbers for each worker's pipe, and ackd has one connection for each
 * worker. There are also ackd's HTTP connections and a few files of every program. */
#define FILES_FOR_WORKER 2
#define FILES_BESIDES    64

int
nofile_ensure(uint32_t workers, struct err *err)
{
    rlim_t needed = (rlim_t)workers * FILES_FOR_WORKER + FILES_BESIDES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_set(err, EXIT_PEER, "could not read the limit of open files: %s",
                       strerror(errno));
    if (limit.rlim_cur >= needed)
        return 0;
    limit.rlim_cur = needed;
    if (limit.rlim_max >= needed && setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return 0;
    err_set(err, EXIT_REFUSED, "the limit of open files is %llu, %u worker(s) need %llu",
            (unsigned long long)limit.rlim_max, workers, (unsigned long long)needed);
    return err_hint(err, "raise it with ulimit -n, or LimitNOFILE in the systemd unit");
}
