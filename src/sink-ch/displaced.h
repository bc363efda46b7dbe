/* displaced.h: rows that share a key for a moment. */
#ifndef WALPIPE_SINKCH_DISPLACED_H
#define WALPIPE_SINKCH_DISPLACED_H

#include "sink-ch/rows_value.h"

/* Remembers the rows that the open transaction's part of the batch leaves in ClickHouse. */
void displaced_keep_written(struct worker *worker);

/* Returns true if the row that has the old key now came in this transaction and is not the row of
 * this change. Then the change is about the key's older row. */
bool displaced_is_about(const struct change *change);

#endif
