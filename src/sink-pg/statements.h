/* statements.h: the SQL that applies one change, and its parameters. */
#ifndef SINK_PG_STATEMENTS_H
#define SINK_PG_STATEMENTS_H

#include "sink-pg/batch.h"
#include "sink-pg/pipe.h"

/* Parameters of one execution, whose memory is reused from row to row. */
struct parameters {
    struct buf text; /* NUL-terminated copies of text values */
    void *block;     /* holds the arrays */
    size_t size;     /* of each */
    const char **values;
    int *lengths;
    int *formats;
};

/* Queues the statement for the change, after its preparation if that is needed. number is given
 * back by the pipe. For an update that changes nothing, nothing is queued, and *queued is false.
 *
 * The next statement can always be sent without a look at the answer.
 *
 * - An insert of an existing key overwrites the row.
 * - An update of a missing row inserts it. It affects 1 row then, otherwise 0. If unchanged TOAST
 *   values are missing it fails with a division by zero, SQLSTATE 22012. If the table is being
 *   copied it affects the rows that were there instead.
 * - A delete affects 0 rows if there is none.
 *
 * If triggers fire, updates and deletes affect the rows that were there, whatever a trigger
 * then did, and an update of a missing row does nothing. If rules fire, the affected rows are those
 * that the server reports for the plain statement. */
int statements_queue(struct pipe *pipe, struct plan *plan, const struct change *change,
                     uint32_t number, struct parameters *params, bool *queued,
                     struct err *err) MUST_CHECK;

/* The name of the column whose value is parameter `number` (from 1) of the change's statement. NULL
 * if there is none. */
const char *statements_column(const struct plan *plan, const struct change *change,
                              uint32_t number);

void parameters_free(struct parameters *params);

#endif
