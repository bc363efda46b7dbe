/* skipnotes.h: the notes in ClickHouse about transactions that a person skips (`walpipe skip`).
 *
 *     walpipe_skips  transactions to be passed over. A row goes when the slot has passed it, since
 *                    the stream brings the transaction again until then.
 *     walpipe_lacks  the changes that a table lacks by that. A row goes when the table was copied
 *                    again, or when a person says that it is repaired.
 *
 * The tables are made when the first skip is noted. A row that goes gets the state "gone". */
#ifndef WALPIPE_SINKCH_SKIPNOTES_H
#define WALPIPE_SINKCH_SKIPNOTES_H

#include "lib/skips.h"
#include "sink-ch/noterows.h"
#include "sink-ch/state.h"

/* At a worker's start. Worker 0 removes notes that have served, and logs the others. */
int skipnotes_load(struct worker *w, struct err *err) MUST_CHECK;

/* When the transaction has come to its end: notes the changes of it that were skipped. */
int skipnotes_write(struct worker *w, uint64_t commit_lsn, struct err *err) MUST_CHECK;

/* The changes that ClickHouse lacks. */
int skipnotes_count(struct worker *w, struct ack_lacks *lacks, struct err *err) MUST_CHECK;

/* ---- for a person: `sink-ch --skip`; hello is of the stream on stdin ---- */

/* Notes the skip, or that the tables are repaired. EXIT_REFUSED if the sink has passed the
 * transaction, or lacks nothing of it. */
int skipnotes_ask(struct worker *w, struct err *err) MUST_CHECK;

/* For --tables: appends the lines of both tables. */
int skipnotes_list(const struct notetable *table, struct buf *lines, struct err *err) MUST_CHECK;

#endif
