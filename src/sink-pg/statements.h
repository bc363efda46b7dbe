/* statements.h: the SQL that applies one change, and its parameters. */
#ifndef SINK_PG_STATEMENTS_H
#define SINK_PG_STATEMENTS_H

#include "sink-pg/batch.h"
#include "sink-pg/pipe.h"

/* Parameters of one execution; memory is reused from row to row. */
struct parameters {
    struct buf text; /* NUL-terminated copies of text values */
    void *block;     /* holds the arrays */
    size_t size;     /* of each */
    const char **values;
    int *lengths;
    int *formats;
};

/* Queues the statement for the change, its preparation first where that is needed. number is given
 * back by the pipe. Nothing is queued, and *queued false, for an update that changes nothing.
 *
 * The statements never need a look at the answer before the next one is sent:
 *   insert   of an existing key overwrites the row
 *   update   of a missing row inserts it (affects 1 row then, else 0); when unchanged TOAST values
 *            are missing it fails with a division by zero, SQLSTATE 22012; where the table is being
 *            copied it then affects the rows that were there
 *   delete   affects 0 rows when there is none
 * Where triggers fire, updates and deletes affect the rows that were there, whatever a trigger then
 * did, and an update of a missing row does nothing; where rules fire, they affect what the server
 * says of the plain statement. */
int statements_queue(struct pipe *pipe, struct plan *plan, const struct change *change,
                     uint32_t number, struct parameters *params, bool *queued,
                     struct err *err) MUST_CHECK;

/* The name of the column whose value is parameter `number` (from 1) of the change's statement; NULL
 * when there is none. */
const char *statements_column(const struct plan *plan, const struct change *change,
                              uint32_t number);

void parameters_free(struct parameters *params);

#endif
