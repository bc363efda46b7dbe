/* copykeyless.h: copies of tables without a key (docs/copy.md, "Tables without a key"). Rows are
 * only added to such a table, so each must be sent once. After a crash or a lost answer it is not
 * known which rows are there, so the next life empties the table first. */
#ifndef WALPIPE_SINKCH_COPYKEYLESS_H
#define WALPIPE_SINKCH_COPYKEYLESS_H

#include "sink-ch/state.h"

/* ---- the stream, while the way of the table's changes is COPYING_HOLD ---- */

/* *pass: the worker leaves the change. body is that of the frame. */
int copykeyless_row(struct worker *worker, const struct table *table, uint8_t type,
                    struct bytes body, bool *pass, struct err *err) MUST_CHECK;
int copykeyless_truncate(struct worker *worker, const struct table *table,
                         struct err *err) MUST_CHECK;

/* ---- between two transactions, in this order ---- */

/* Adds the changes to the batch that have waited for their snapshot. */
int copykeyless_apply(struct worker *worker, struct err *err) MUST_CHECK;

/* Prepares lives that begin, before they are noted, and checks those that have ended. */
int copykeyless_look(struct worker *worker, struct err *err) MUST_CHECK;

/* When the notes are written: empties the tables whose lives begin. */
int copykeyless_clear(struct worker *worker, struct err *err) MUST_CHECK;

#endif
