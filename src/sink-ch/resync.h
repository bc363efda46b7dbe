/* resync.h: a table that is copied again (docs/copy.md, "Copying again"). Checks whether the target
 * allows it, which of its rows may be wrong until the end, and removes the surplus rows at the end.
 */
#ifndef WALPIPE_SINKCH_RESYNC_H
#define WALPIPE_SINKCH_RESYNC_H

#include "sink-ch/state.h"

/* Sets how copying asks, and the hint for it. */
void resync_serve(struct worker *worker);

/* For copying.check_resync; context is the worker. -1 with the reason, EXIT_REFUSED, or with a
 * failure to find out. */
int resync_check(void *context, const struct relation *relation, struct err *err) MUST_CHECK;

/* Rows with versions from this LSN on were written since the table's resync has begun. 0 without
 * one, or if it has not begun. */
uint64_t resync_since(const struct copying *c, uint32_t relid);

/* Call it before the notes of lives that begin are written. */
int resync_begin(struct worker *worker, struct err *err) MUST_CHECK;

/* The first range of the part's life is about to be written. EXIT_REFUSED: rows of the target have
 * versions that the source has not reached, and would hide its rows. */
int resync_range(struct worker *worker, struct copypart *part, const struct heldrange *range,
                 struct err *err) MUST_CHECK;

/* Call it after all changes and ranges. If the last part of a table has ended, worker 0 removes the
 * surplus rows, and sets the notes of all workers. The others wait, and then read the result. If
 * keys are missing, the state does not change. */
int resync_settle(struct worker *worker, struct err *err) MUST_CHECK;

/* Call it when the run has failed. If the reason is that a resync must begin again, it records this
 * in the notes. */
void resync_failed(struct worker *worker);

#endif
