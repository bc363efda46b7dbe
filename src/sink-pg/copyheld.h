/* copyheld.h: changes of tables without a key that wait in the target until the ranges are written
 * (docs/copy.md, "Tables without a key"):
 *
 *     walpipe.held  the changes, and a row of piece 0 for each table that is copied in this way
 *
 * The row of piece 0 stays when the copy has ended. By this row a restart knows that the copy is
 * one without a key, and empties the target's table before the next life.
 *
 * Only the worker that gets the table's rows writes there. */
#ifndef SINK_PG_COPYHELD_H
#define SINK_PG_COPYHELD_H

#include "lib/copying.h"
#include "lib/keylesscopy.h"
#include "lib/layout.h"
#include "sink-pg/copyout.h"
#include "sink-pg/heldlist.h"
#include "sink-pg/ways.h"
#include "sink-pg/wholes.h"

/* Zero-initialise, then set the members before list. */
struct copyheld {
    const char *pipeline;
    const struct hello *hello;
    const struct layout *layout;
    const struct tables *tables;
    const struct wholes *wholes; /* of a sink with several workers; else NULL */
    uint64_t limit;              /* bytes that may wait of a table */
    struct heldlist list;
    struct table *applied; /* whose changes the attempt applies; NULL: of none */
    struct batch batch;    /* those of one piece */
    struct copyout out;
};

/* Inside a transaction: makes the table where it is missing. */
int copyheld_make(struct session *s, struct err *err) MUST_CHECK;

/* Inside a transaction: tells copying which lives have not ended. */
int copyheld_load(const struct copyheld *h, struct session *s, struct copying *c,
                  struct err *err) MUST_CHECK;

/* `sink-pg --drop-progress`. */
int copyheld_drop(struct session *s, const char *pipeline, const char *sink,
                  struct err *err) MUST_CHECK;

/* ---- the stream ---- */

/* *mine: this worker gets the table's rows. EXIT_REFUSED if they go to several workers. */
int copyheld_place(const struct copyheld *h, const struct relation *relation, bool *mine,
                   struct err *err) MUST_CHECK;

/* Keeps a change of a table that is COPYING_HOLD, unless the snapshot contains it. body is that of
 * the frame, and for a truncate its flags as one byte. */
int copyheld_add(struct copyheld *h, struct copying *c, const struct relation *relation,
                 const struct heldchange *change, struct bytes body, const struct log *log,
                 struct err *err) MUST_CHECK;

/* ---- in the transaction of a commit. Anything but OUTCOME_DONE leaves it to be rolled back; never
 * OUTCOME_NOT ---- */

/* Writes the list's first `to` changes. */
enum outcome copyheld_write(struct copyheld *h, struct session *s, struct err *err);

/* At the beginning of a life, removes the rows of the last one. When it is spoiled, removes its
 * changes. At its end, applies and removes them. */
enum outcome copyheld_settle(struct copyheld *h, struct copying *c, struct ways *ways,
                             struct session *s, bool *unplaced, struct err *err);

void copyheld_free(struct copyheld *h);

#endif
