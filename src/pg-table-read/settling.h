/* settling.h: waits until all workers have what was written before a moment (docs/copy.md, "When a
 * life begins, and when a table is gone"). */
#ifndef WALPIPE_PGTABLEREAD_SETTLING_H
#define WALPIPE_PGTABLEREAD_SETTLING_H

#include "pg-table-read/state.h"

/* One step. The moment is life->reach; 0: it is not known yet, and comes when the transactions of
 * now have ended. look: the source and ackd may be asked again. 1: the workers are there, or 0, or
 * -1 with err. */
int settling_look(struct copy *copy, struct life *life, bool look, struct err *err) MUST_CHECK;

/* The position of WAL, as the workers will reach it. */
int settling_reach(const struct copy *copy, uint64_t *reach, struct err *err) MUST_CHECK;

/* What is published of the table has changed in this run, and the server is older than PostgreSQL
 * 14: its walsender does not publish the table rightly to the end, a new one does. Then the run
 * ends: -1 with err, EXIT_PEER. Else 0. */
int settling_check_server(const struct copy *copy, const struct life *life,
                          struct err *err) MUST_CHECK;

#endif
