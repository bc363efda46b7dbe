/* horizon.h: what no range that is sent from now on lacks (docs/copy.md): the oldest snapshot that
 * a range which is not sent yet may have. */
#ifndef WALPIPE_PGTABLEREAD_HORIZON_H
#define WALPIPE_PGTABLEREAD_HORIZON_H

#include "pg-table-read/state.h"

/* The server gave us this snapshot, and with it a range went out: so does the horizon. */
int horizon_note(struct copy *copy, const struct snapshot *snapshot, struct err *err) MUST_CHECK;

/* Each second while a table is copied: also where nothing is read, workers must be able to forget.
 */
int horizon_refresh(struct copy *copy, uint64_t now, struct err *err) MUST_CHECK;

#endif
