/* limits.c: see limits.h. */
#include "pg-table-read/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/statefile.h"

static bool
parse(const char *text, uint64_t *workers, uint64_t *rate)
{
    int end = 0;

    return text[0] != '-' && strstr(text, " -") == NULL &&
           sscanf(text, "%" SCNu64 " %" SCNu64 "%n", workers, rate, &end) == 2 &&
           strcmp(text + end, "\n") == 0 && *workers >= 1 && *workers <= COPY_WORKERS_MAX;
}

/* Under the old rate the next range might begin in an hour. */
static void
take(struct copy *copy, uint64_t workers, uint64_t rate)
{
    if (workers == copy->workers && rate == copy->rate)
        return;
    copy->workers = workers;
    copy->rate = rate;
    copy->rate_until = 0;
    log_write(copy->log, LOG_INFO,
              "reading with %" PRIu64 " connections, at most %" PRIu64 " bytes per second%s",
              workers, rate, rate == 0 ? " (0: no limit)" : "");
}

void
limits_read(struct copy *copy)
{
    const char *path = copy->options->limits;
    uint64_t workers, rate;
    struct err err = {0};
    char *text = NULL;

    if (path == NULL)
        return;
    if (statefile_read(path, &text, &err) != 0)
        log_write(copy->log, LOG_WARNING, "%s", err.message);
    else if (text != NULL && parse(text, &workers, &rate))
        take(copy, workers, rate);
    else if (text != NULL)
        log_write(copy->log, LOG_WARNING, "\"%s\" is malformed: the limits stay as they are", path);
    free(text);
}
