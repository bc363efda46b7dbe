/* settling.h: waits until all workers have everything that was written before a moment
 * (docs/copy.md, "Waiting for transactions that are decoded but not visible"). */
#ifndef WALPIPE_PGTABLEREAD_SETTLING_H
#define WALPIPE_PGTABLEREAD_SETTLING_H

#include "pg-table-read/state.h"

/* One step. The moment is life->reach. It is 0 while it is not known, and is set when the
 * transactions that run at the first step have ended. With `look`, the source and ackd may be asked
 * again. Returns 1 when the workers are there, otherwise 0, or -1 with err. */
int settling_look(struct copy *copy, struct life *life, bool look, struct err *err) MUST_CHECK;

/* The WAL position that the workers will reach. */
int settling_reach(const struct copy *copy, uint64_t *reach, struct err *err) MUST_CHECK;

/* Whether all workers have confirmed the position. Asks ackd once in a look. Returns 1, 0, or -1
 * with err. */
int settling_reached(struct copy *copy, uint64_t reach, struct err *err) MUST_CHECK;

/* The table's published rows or columns have changed in this run. If the server is older than
 * PostgreSQL 14, its walsender does not publish the table correctly to its end, but a new one does.
 * Then the run ends with -1 and err, EXIT_PEER. Otherwise returns 0. */
int settling_check_server(const struct copy *copy, const struct life *life,
                          struct err *err) MUST_CHECK;

#endif
