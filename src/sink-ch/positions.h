/* positions.h: how far a sink came before, by the rows of walpipe_progress that journal.c writes:
 * of this source and slot, of other histories, and for a program that has no stream. Reads only. */
#ifndef WALPIPE_SINKCH_POSITIONS_H
#define WALPIPE_SINKCH_POSITIONS_H

#include "lib/frame.h"
#include "lib/layout.h"
#include "sink-ch/server.h"

/* The result of journal_open for the rows that are in ClickHouse already. */
enum journal_known {
    JOURNAL_NOTHING,
    JOURNAL_OURS,    /* they were of this source and timeline */
    JOURNAL_PREVIOUS /* of the timeline that this one came from, and end before it began */
};

struct journal {
    struct server *server;
    const struct hello *hello;
    const struct layout *layout; /* the stream's, for journal_open */
    const char *pipeline;
    const char *database;
    enum journal_known known;
    uint64_t highest;       /* LSN that was noted, of any history */
    uint32_t last_timeline; /* that was noted of this source, 0 if none */
    bool adopted;           /* a later history was adopted, so tables may have an offset (mark.h) */
    uint64_t found;  /* everything up to here was in ClickHouse once, according to the rows at the
                        start */
    uint64_t before; /* up to here rows of this history may have been sent by former runs */
    uint64_t announced;   /* in this run, by journal_announce */
    uint64_t layout_hash; /* in the notes of this run, if the table has_layout */
    bool has_layout;
    bool off; /* the user has no right to the table, so nothing is recorded and nothing can be
                 proved */
};

#define POSITIONS_TABLE  "walpipe_progress"
#define POSITIONS_LAYOUT "layout" /* a column that older tables lack */

/* No slot has an empty name. A row with it records that a history was adopted. */
#define POSITIONS_ADOPTED_SLOT ""

/* The number of workers in a row that was written before the changes that it announces. */
#define POSITIONS_ANNOUNCED 0

/* Append the table's name, and " WHERE ..." for the rows of a sink of this pipeline. */
void positions_put_table(const struct journal *journal, struct buf *sql);
void positions_put_where_sink(const struct journal *journal, const char *sink, struct buf *sql);

/* The LSN up to which everything of this timeline and slot is in ClickHouse, 0 if the table does
 * not record it. */
int positions_read(struct journal *journal, uint64_t *lsn, struct err *err) MUST_CHECK;

/* The same for the timeline before, where *durable is 0 and the slot is ahead of that LSN.
 * Otherwise *durable stays. */
int positions_look_before(struct journal *journal, uint64_t *durable, struct err *err) MUST_CHECK;

/* Refuses rows of other histories as journal_open says, and sets the journal's known, highest,
 * last_timeline, adopted and before. */
int positions_judge(struct journal *journal, struct err *err) MUST_CHECK;

/* The notes of a sink, read without a stream. */
struct positions_summary {
    bool any;                   /* it has applied or adopted rows of any source before */
    uint64_t system_identifier; /* of the latest note, 0 if there is none */
    uint64_t durable;           /* LSN up to which all workers have that source's rows, or 0 */
    uint32_t workers;           /* at the latest note, 0 if not known */
    uint32_t timeline;          /* of the latest note */
    bool settled;               /* all workers stopped at `durable`, and nobody was beyond it */
};

/* Reads the notes of hello's sink. The rest of hello may be empty. Makes no table. */
int positions_sum_up(struct journal *journal, struct positions_summary *summary,
                     struct err *err) MUST_CHECK;

#endif
