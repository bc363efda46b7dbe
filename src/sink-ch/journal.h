/* journal.h: the table walpipe_progress in the sink's database, with the LSN up to which each
 * worker has everything in ClickHouse. The sink skips nothing by it, because rows carry versions
 * and may come again. It shows ackd whether the target has all that was confirmed, so a note is
 * written before its LSN is reported. Must not know a batch or a table of the source. */
#ifndef WALPIPE_SINKCH_JOURNAL_H
#define WALPIPE_SINKCH_JOURNAL_H

#include "sink-ch/positions.h"

/* Makes the table if it is missing and reads its rows about this source. *durable is the LSN up to
 * which everything is in ClickHouse, or 0 if the table does not record it. It refuses rows that a
 * sink of this name wrote from another source, or from a timeline beyond the LSN where this source
 * left it. */
int journal_open(struct journal *journal, uint64_t *durable, struct err *err) MUST_CHECK;

/* Does the same as journal_open without making the table. Returns 0, 1 with journal_open's refusal
 * in why, or -1 with err. */
int journal_look(struct journal *journal, struct err *why, struct err *err) MUST_CHECK;

/* Everything up to lsn is in ClickHouse. Returns when the note is, too. */
int journal_note(struct journal *journal, uint64_t lsn, struct err *err) MUST_CHECK;

/* Call it before changes of the transaction at commit_lsn go to tables whose mark cannot record the
 * origin of their rows (mark.h). If the sink is killed after it has sent such rows, this is the
 * only record of them, and a source that never had the transaction must be refused by it. The
 * record is not progress. */
int journal_announce(struct journal *journal, uint64_t commit_lsn, struct err *err) MUST_CHECK;

/* Records that this source's rows come into the database. Call it before the first row of a table
 * whose mark cannot record that. */
int journal_claim(struct journal *journal, struct err *err) MUST_CHECK;

/* Forgets up to where the target has the changes, and keeps the record up to where it may have
 * rows. After journal_look. Returns when the notes are gone. */
int journal_begin_anew(struct journal *journal, struct err *err) MUST_CHECK;

/* Deletes all notes of sinks of this name. Returns when they are gone. */
int journal_drop(struct journal *journal, const char *sink, struct err *err) MUST_CHECK;

/* A person decided that the source's history is valid from now on. Call journal_adopt before the
 * first mark gets an offset. After all marks have one, journal_forget_others deletes the notes of
 * other histories. Both return 0, or -1 with err. */
int journal_adopt(struct journal *journal, struct err *err) MUST_CHECK;
int journal_forget_others(struct journal *journal, struct err *err) MUST_CHECK;

#endif
