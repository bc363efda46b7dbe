/* horizon.h: the snapshot that every range sent from now on contains (docs/copy.md). It is the
 * oldest snapshot that a range which is not sent yet may have. */
#ifndef WALPIPE_PGTABLEREAD_HORIZON_H
#define WALPIPE_PGTABLEREAD_HORIZON_H

#include "pg-table-read/state.h"

/* The server gave us this snapshot, and a range was sent with it, so the horizon is sent too. */
int horizon_note(struct copy *copy, const struct snapshot *snapshot, struct err *err) MUST_CHECK;

/* Call it each second while a table is copied. Even if nothing is read, workers must be able to
 * forget. */
int horizon_refresh(struct copy *copy, uint64_t now, struct err *err) MUST_CHECK;

#endif
