/* repeated.h: rows of a table without a key that are in ClickHouse already. Rows are only added to
 * such a table, so a row that is sent again, after a restart or a lost answer, would be there
 * twice. With a version column each change has a version of its own, and those that are there are
 * left out. The late changes of a very large transaction share a version in a UInt64 (version.h).
 * They are never left out, because they cannot be told apart. */
#ifndef WALPIPE_SINKCH_REPEATED_H
#define WALPIPE_SINKCH_REPEATED_H

#include "sink-ch/state.h"

/* Whether rows of the table that are there can be told. */
bool repeated_is_known(const struct table *table);

/* Waits until no request of this sink runs in the server, whether of a killed one or of this one
 * with a lost answer. Returns 0, or -1 with err. */
int repeated_wait(struct worker *worker, struct err *err) MUST_CHECK;

/* Call it before the first row of a table, after history_admit. Waits for inserts that a killed
 * sink left running in the server. Returns 0, or -1 with err. */
int repeated_begin(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

/* Removes the table's rows that are there from the batch, from its entry `from` on. With `all`,
 * those of this run may be there too. Returns their number, or -1 with err. */
int64_t repeated_drop(struct worker *worker, const struct table *table, uint32_t from, bool all,
                      struct err *err) MUST_CHECK;

#endif
