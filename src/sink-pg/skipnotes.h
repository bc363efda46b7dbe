/* skipnotes.h: the notes in the target about transactions that a person skips (`walpipe skip`).
 *
 *     walpipe.skips  transactions to be passed over. A row goes when all workers have passed it.
 *     walpipe.lacks  the changes that a table lacks by that. A row goes when the table was copied
 *                    again, or when a person says that it is repaired.
 *
 * The tables are made when the first skip is noted. */
#ifndef SINK_PG_SKIPNOTES_H
#define SINK_PG_SKIPNOTES_H

#include "lib/ackmsg.h"
#include "lib/skips.h"
#include "sink-pg/layers.h"
#include "sink-pg/session.h"

/* Whose notes they are. */
struct skipnotes {
    const char *pipeline;
    const char *sink;
    uint32_t shard;
};

/* At a worker's start. Removes notes that have served, hands the others to skips, and logs them if
 * it is worker 0. */
int skipnotes_load(const struct skipnotes *n, struct session *s, struct skips *skips,
                   struct err *err) MUST_CHECK;

/* In the transaction that moves the progress to `to`: notes the changes which that passes. */
int skipnotes_write(const struct skipnotes *n, struct session *s, const struct skips *skips,
                    const struct position *to, struct err *err) MUST_CHECK;

/* Outside of a transaction, when the worker's position has passed a skip. Removes those that all
 * workers have passed, and logs how they ended. *left: others have not passed some that this one
 * has. */
int skipnotes_settle(const struct skipnotes *n, struct session *s, uint64_t lsn, bool *left,
                     struct err *err) MUST_CHECK;

/* Outside of a transaction: the changes that the target lacks. */
int skipnotes_count(const struct skipnotes *n, struct session *s, struct ack_lacks *lacks,
                    struct err *err) MUST_CHECK;

/* ---- for a person, on a session that is open ---- */

/* Notes the skip, and prints how the sink stands to it. A worker that lives cannot commit
 * afterwards, and starts again. EXIT_REFUSED if the sink has passed the transaction. */
int skipnotes_ask(const struct skipnotes *n, struct session *s, const struct skip *skip,
                  struct err *err) MUST_CHECK;

/* The table, or all of the transaction, is repaired. EXIT_REFUSED if there is no such note. */
int skipnotes_repaired(const struct skipnotes *n, struct session *s, const struct skip *skip,
                       struct err *err) MUST_CHECK;

/* For --tables: appends the lines of both tables. */
int skipnotes_list(const struct skipnotes *n, struct session *s, struct buf *out,
                   struct err *err) MUST_CHECK;

/* `sink-pg --drop-progress`. */
int skipnotes_drop(const struct skipnotes *n, struct session *s, struct err *err) MUST_CHECK;

#endif
