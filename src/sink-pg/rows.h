/* rows.h: applies changes one by one, in the order of the list, in pipeline mode. It is slower than
 * sets of rows and always right. For few changes it is also the fastest way. */
#ifndef SINK_PG_ROWS_H
#define SINK_PG_ROWS_H

#include "sink-pg/batch.h"
#include "sink-pg/outcome.h"
#include "sink-pg/pipe.h"
#include "sink-pg/statements.h"

/* Rows of the target that are in the way of a change, by a unique or an exclusion constraint. */
struct rows_clash {
    bool met;
    uint32_t relid; /* of the source's table, 0 if a COMMIT found them */
};

/* Zero-initialise to use, and set values and copies. Reused for the process's life. */
struct rows {
    struct pipe pipe;
    struct rows_clash clash; /* the last one; the caller resets it */
    struct parameters params;
    struct row_values *values; /* lent, for the row in hand */
    bool copies;               /* the sink takes copies, for hints */
    struct buf sql;
};

/* Begins a pipeline, to which the caller adds the commands before the changes. */
int rows_start(struct rows *rows, struct session *session, struct err *err) MUST_CHECK;

/* Queues the changes. Long lists are sent and answered in parts. Returns -1 with err. Then the
 * pipeline is ended and rows->pipe.failure has the reason. */
int rows_queue(struct rows *rows, const struct op_list *list, struct err *err) MUST_CHECK;

/* Ends the pipeline, to which the caller has added the commands behind the changes. The error names
 * the change. */
int rows_finish(struct rows *rows, struct batch *batch, struct err *err) MUST_CHECK;

/* The kind of the failure after one of these failed. */
enum outcome rows_outcome(const struct rows *rows, struct err *err);

/* Call it instead of rows_finish if a command of the caller's could not be queued. The connection
 * is lost, and the pipeline with it. */
enum outcome rows_give_up(struct rows *rows, const struct err *err);

/* "TRUNCATE a, b" as SQL, until the next call. NULL when memory is out. */
const char *rows_truncate_sql(struct rows *rows, const struct op_truncate *truncate);

void rows_free(struct rows *rows);

#endif
