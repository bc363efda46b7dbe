/* progress.h: how far a comparison is, on a terminal. The number of rows is the estimate of the
 * source's planner. */
#ifndef WALPIPE_COMPARE_PROGRESS_H
#define WALPIPE_COMPARE_PROGRESS_H

#include <libpq-fe.h>

#include "lib/base.h"

struct progress {
    bool shown;
    int fd;                /* of workers_progress in a worker, otherwise -1 */
    uint64_t total;        /* rows, 0 if not known */
    uint64_t rows;         /* compared */
    uint64_t begun, drawn; /* clock_micros */
    const char *sink;
    const char *schema, *table; /* the table that is compared */
};

/* The planner's number of rows of a table and its partitions. Returns 0, or -1 with err. */
int progress_estimate(PGconn *source, uint32_t relid, uint64_t *rows, struct err *err) MUST_CHECK;

/* So many more rows were compared. */
void progress_add(struct progress *progress, uint64_t rows);

/* Draws, at most a few times per second. */
void progress_draw(struct progress *progress);

/* Removes the drawing before something else is printed. */
void progress_clear(struct progress *progress);

#endif
