/* rows.h: turns a row event into rows of the batch. */
#ifndef WALPIPE_SINKCH_ROWS_H
#define WALPIPE_SINKCH_ROWS_H

#include "sink-ch/state.h"

/* Adds the rows that result from a decoded insert, update or delete to the batch. */
int rows_apply(struct worker *worker, struct table *table, uint8_t type,
               const struct row_event *row, struct err *err) MUST_CHECK;

/* Refuses a transaction whose LSN has no room in the table's versions. Returns 0, or -1 with
 * err. */
int rows_check_version(const struct worker *worker, const struct table *table,
                       struct err *err) MUST_CHECK;

struct version rows_version(const struct worker *worker, const struct table *table,
                            uint64_t ordinal);

#endif
