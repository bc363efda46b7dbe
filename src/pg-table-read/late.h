/* late.h: servers before 14, and tables that come into the publication while a walsender runs: it
 * does not publish them rightly to the end (docs/copy.md, "Old servers lose more"). What ran then
 * is waited for, and must have reached the targets; then the run ends, and the next has a new
 * walsender. */
#ifndef WALPIPE_PGTABLEREAD_LATE_H
#define WALPIPE_PGTABLEREAD_LATE_H

#include "pg-table-read/state.h"

/* Whether the table cannot be copied in this run. */
bool late_is(const struct copy *copy, const struct life *life);

/* One step: lists the transactions of now, waits for them, then for all workers. look: the source
 * may be asked again. -1 with err when the run is to end: EXIT_PEER. */
int late_look(struct copy *copy, struct life *life, bool look, struct err *err) MUST_CHECK;

#endif
