/* copies.h: tables that are copied while the stream goes on (docs/copy.md). Treats their changes,
 * and writes the rows of ranges. Nothing happens here on a stream that brings no copies. */
#ifndef WALPIPE_SINKCH_COPIES_H
#define WALPIPE_SINKCH_COPIES_H

#include "sink-ch/state.h"

/* After journal_open, before the worker registers. */
int copies_start(struct worker *worker, struct err *err) MUST_CHECK;

/* ---- the stream ---- */

/* The stream described a table, for the first time or (changed) with another description than
 * before. */
int copies_relation(struct worker *worker, const struct relation *relation, bool changed,
                    struct err *err) MUST_CHECK;

/* *passes: ranges will bring the table's changes. */
int copies_pass(struct worker *worker, struct table *table, bool *passes,
                struct err *err) MUST_CHECK;

/* A change of a table; *pass: leave it, the ranges will have it. */
int copies_row(struct worker *worker, struct table *table, const struct intake_item *item,
               const struct row_event *row, bool *pass, struct err *err) MUST_CHECK;
int copies_truncate(struct worker *worker, struct table *table, bool *pass,
                    struct err *err) MUST_CHECK;
int copies_touched(struct worker *worker, struct intake_item *item, struct err *err) MUST_CHECK;
int copies_left_out(struct worker *worker, uint32_t relid, struct err *err) MUST_CHECK;
int copies_frame(struct worker *worker, struct intake_item *item, struct err *err) MUST_CHECK;

/* A barrier was reported: other workers may take rows away that ranges hold, until the transaction
 * ends. */
void copies_stand_still(struct worker *worker);
void copies_go_on(struct worker *worker);

/* ---- between two transactions ---- */

/* Whether copies_write has something to do. */
bool copies_are_due(const struct worker *worker);

/* Whether it is time for that. Small ranges wait for others, or for a pause of the input. */
bool copies_are_ready(struct worker *worker);

/* An item came, or (idle) none. In a pause they are ready at pause_at. */
void copies_look_at_pause(struct worker *worker, bool idle);

/* Whether it must be called before the next transaction: that a table is followed is noted before
 * its first rows are sent, and that it is left out before the position is reported. */
bool copies_must_note(const struct worker *worker);

/* When the batch is sent: writes the rows of ranges whose marks have come, then the notes, and
 * tells ackd. */
int copies_write(struct worker *worker, struct err *err) MUST_CHECK;

void copies_free(struct copies *copies);

#endif
