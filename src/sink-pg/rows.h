/* rows.h: changes applied one by one, in the order of the list, in pipeline mode. Slower than sets
 * of rows and always right; for few changes also the fastest way. */
#ifndef SINK_PG_ROWS_H
#define SINK_PG_ROWS_H

#include "sink-pg/batch.h"
#include "sink-pg/outcome.h"
#include "sink-pg/pipe.h"
#include "sink-pg/statements.h"

/* Zero-initialise and set values; reused for the process's life. */
struct rows {
    struct pipe pipe;
    struct parameters params;
    struct row_values *values; /* lent, for the row in hand */
    struct buf sql;
};

/* Begins a pipeline, to which the caller adds what comes before the changes. */
int rows_start(struct rows *rows, struct session *session, struct err *err) MUST_CHECK;

/* Queues the changes; long lists are sent and answered in parts. -1 with err: the pipeline is
 * ended and rows->pipe.failure says why. */
int rows_queue(struct rows *rows, const struct op_list *list, struct err *err) MUST_CHECK;

/* Ends the pipeline, to which the caller has added what comes after. The error names the change. */
int rows_finish(struct rows *rows, struct batch *batch, struct err *err) MUST_CHECK;

/* After one of these failed: how. */
enum outcome rows_outcome(const struct rows *rows, struct err *err);

/* Instead of rows_finish, when a command of the caller's could not be queued: the connection is
 * lost, and the pipeline with it. */
enum outcome rows_give_up(struct rows *rows, const struct err *err);

/* "TRUNCATE a, b" as SQL, until the next call. NULL: out of memory. */
const char *rows_truncate_sql(struct rows *rows, const struct op_truncate *truncate);

void rows_free(struct rows *rows);

#endif
