/* copies.h: the worker's part in copies (docs/copy.md): the treatment of changes of tables that are
 * copied, and when ranges are written. These functions do nothing on a stream without copies.
 * worker.c decides when a batch is applied. */
#ifndef SINK_PG_COPIES_H
#define SINK_PG_COPIES_H

#include "sink-pg/state.h"

/* ---- start and end ---- */

/* When hello has come. */
void copies_wire(struct worker *worker);

/* Reads the target's notes. On a stream without copies it refuses notes of copies that have not
 * ended. */
int copies_load(struct worker *worker, struct err *err) MUST_CHECK;

/* Call it when the run ends with an error. Drops a staging table that is not valid any more. */
void copies_unstage(struct worker *worker);

/* ---- the stream's items ---- */

/* *passes: ranges will bring the table's changes. */
int copies_pass(struct worker *worker, struct table *table, bool *passes,
                struct err *err) MUST_CHECK;

/* Adds the change to the batch, or holds it, or leaves it to the ranges. */
int copies_row(struct worker *worker, struct table *table, const struct intake_item *item,
               struct err *err) MUST_CHECK;

/* Leaves out those tables of the truncate whose later ranges will be read after it. */
int copies_truncate(struct worker *worker, struct truncate_event *truncate,
                    struct err *err) MUST_CHECK;
int copies_touched(struct worker *worker, const struct intake_item *item,
                   struct err *err) MUST_CHECK;
int copies_left_out(struct worker *worker, uint32_t relid, struct err *err) MUST_CHECK;
int copies_relation(struct worker *worker, const struct intake_item *item, bool changed,
                    struct err *err) MUST_CHECK;

/* Takes a frame of a copy. body is that of the item. */
int copies_frame(struct worker *worker, const struct intake_item *item, struct cursor body,
                 struct err *err) MUST_CHECK;

/* ---- commits ---- */

/* Returns true if notes, or ranges whose marks have been reached, wait to be written. */
bool copies_are_due(struct worker *worker);

/* Whether they may be written now. */
bool copies_may_go(struct worker *worker);

/* They were written. `began` is when that started. */
void copies_gone(struct worker *worker, uint64_t began);

/* Notes wait. */
bool copies_have_notes(struct worker *worker);

/* Returns true if ranges have waited too long for a pause of the stream. */
bool copies_starve(struct worker *worker);

/* Returns true if ranges must be written before the frame. body is that of the item. */
bool copies_precede(struct worker *worker, const struct intake_item *item, struct cursor body);

/* Returns true if a note must be durable before the next item. */
bool copies_are_urgent(const struct worker *worker);

/* Marks the ranges that the next commit writes, if it is their turn. commit is NULL inside a
 * transaction. */
int copies_collect(struct worker *worker, const struct position *commit,
                   struct err *err) MUST_CHECK;

/* A batch could not be applied. If the reason is a conflict with rows of a table that is copied
 * again, its changes go to the staged rows alone from the next start on. Returns -1. */
int copies_refused(struct worker *worker, struct err *err);

/* The run ends with err. A table that is its reason is set aside if errors park, so that the next
 * run goes on without it. Returns -1. */
int copies_park(struct worker *worker, struct err *err);

/* Tells ackd. */
int copies_committed(struct worker *worker, struct err *err) MUST_CHECK;

#endif
