/* late.h: tables that come into the publication while a walsender runs, on servers before 14. Such
 * a walsender does not publish them correctly to its end (docs/copy.md, "Old servers lose more").
 * The transactions that ran then are waited for, and must have reached the targets. Then the run
 * ends, and the next has a new walsender. */
#ifndef WALPIPE_PGTABLEREAD_LATE_H
#define WALPIPE_PGTABLEREAD_LATE_H

#include "pg-table-read/state.h"

/* Whether the table cannot be copied in this run. */
bool late_is(const struct copy *copy, const struct life *life);

/* One step. Lists the transactions of now, waits for them, then for all workers. With `look`, the
 * source may be asked again. Returns -1 with err if the run must end, which is EXIT_PEER. */
int late_look(struct copy *copy, struct life *life, bool look, struct err *err) MUST_CHECK;

#endif
