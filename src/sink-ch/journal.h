/* journal.h: the table walpipe_progress in the sink's database: up to which LSN each worker has
 * everything in ClickHouse. It decides nothing here: rows carry versions, so what is there already
 * may come again. It proves to ackd that a slot which another walpipe has moved was moved rightly,
 * so a note is written before its LSN is reported. Must not know a batch or a table of the source.
 */
#ifndef WALPIPE_SINKCH_JOURNAL_H
#define WALPIPE_SINKCH_JOURNAL_H

#include "lib/frame.h"
#include "sink-ch/server.h"

/* What the journal says of rows that came before. */
enum journal_known {
    JOURNAL_NOTHING,
    JOURNAL_OURS,    /* they were of this source and timeline */
    JOURNAL_PREVIOUS /* of the timeline that this one came out of, and end before it began */
};

struct journal {
    struct server *server;
    const struct hello *hello;
    const char *pipeline;
    const char *database;
    enum journal_known known;
    uint64_t highest;   /* LSN that was noted, of any history */
    bool adopted;       /* a later history was told to win: tables may have an offset (mark.h) */
    uint64_t found;     /* everything up to here was in ClickHouse once, as it said at the start */
    uint64_t before;    /* up to here rows of this history may have been sent by former runs */
    uint64_t announced; /* in this run: journal_announce */
    bool off;           /* the user may not: nothing is noted, nothing can be proved */
};

/* Makes the table where it is missing and looks what it says of this source. *durable: everything
 * up to there is in ClickHouse; 0: it does not say so. What a sink of this name wrote from another
 * source, or from a timeline beyond where this source left it, is refused. */
int journal_open(struct journal *journal, uint64_t *durable, struct err *err) MUST_CHECK;

/* What journal_open would say, without making the table. 0; 1: it would refuse, and why says so; -1
 * with err. */
int journal_look(struct journal *journal, struct err *why, struct err *err) MUST_CHECK;

/* Everything up to lsn is in ClickHouse. Returns when the note is, too. */
int journal_note(struct journal *journal, uint64_t lsn, struct err *err) MUST_CHECK;

/* Before changes of the transaction at commit_lsn go to tables that cannot say whose rows they hold
 * (mark.h): a sink that is killed behind them has no other note of it, and a source that never had
 * the transaction must be told. It is no progress. */
int journal_announce(struct journal *journal, uint64_t commit_lsn, struct err *err) MUST_CHECK;

/* Writes down that this source's rows come into the database; before the first one of a table that
 * cannot say so itself. */
int journal_claim(struct journal *journal, struct err *err) MUST_CHECK;

/* Forgets all that sinks of this name noted; returns when it is gone. */
int journal_drop(struct journal *journal, const char *sink, struct err *err) MUST_CHECK;

/* A person says that the source's history counts from now on: before the first mark gets an offset.
 * And, when all have: what was noted of other histories is forgotten. 0, or -1 with err. */
int journal_adopt(struct journal *journal, struct err *err) MUST_CHECK;
int journal_forget_others(struct journal *journal, struct err *err) MUST_CHECK;

#endif
