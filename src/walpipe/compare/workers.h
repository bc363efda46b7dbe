/* workers.h: processes that do the items of a list at the same time. Knows nothing of tables. */
#ifndef WALPIPE_COMPARE_WORKERS_H
#define WALPIPE_COMPARE_WORKERS_H

#include "lib/base.h"

struct workers_answer {
    uint64_t rows, differences, omissions;
    char *text; /* to be freed */
    size_t len;
};

/* begin, work and end are called in a process of their own, and the others in the caller's. */
struct workers {
    uint32_t count;
    void *context;
    /* fd is for workers_progress. */
    int (*begin)(void *context, uint32_t number, int fd, struct err *err);
    int (*work)(void *context, uint32_t item, struct workers_answer *answer, struct err *err);
    void (*take)(void *context, const struct workers_answer *answer);
    void (*progress)(void *context, uint64_t rows);
};

/* Does the items 0 to items - 1. Returns 0, or -1 with err of the first failure. */
int workers_run(const struct workers *workers, uint32_t items, struct err *err) MUST_CHECK;

/* Tells the caller of workers_run that so many more rows were read. */
void workers_progress(int fd, uint64_t rows);

#endif
