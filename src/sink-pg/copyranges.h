/* copyranges.h: writes the rows of ranges that are due into the target, in the transaction whose
 * position has reached their marks. */
#ifndef SINK_PG_COPYRANGES_H
#define SINK_PG_COPYRANGES_H

#include "sink-pg/copyheld.h"
#include "sink-pg/copynotes.h"
#include "sink-pg/resync.h"
#include "sink-pg/staging.h"
#include "sink-pg/ways.h"
#include "sink-pg/wholes.h"

/* Zero-initialise to use, then set notes, tables, values, wholes, waits and copying.sink. */
struct copyranges {
    struct copynotes notes;
    struct copying copying;
    const struct tables *tables;
    const struct wholes *wholes; /* of a sink with several workers, otherwise NULL */
    struct row_values *values;   /* lent, for the current row */
    struct staging staging;
    struct resync resync;
    bool merged;         /* a resync has ended, so plans of its staging table are void */
    struct table *first; /* of ranges that came, linked by segment_next. count is 1 if the commit
                            that is under way writes rows of it */
    struct table *table; /* of the current range */
    /* Set by the caller: whether changes wait for the end of the commit that is under way. */
    bool (*waits)(void *context);
    void *context;
    uint64_t position;         /* of that commit, if it may take further ranges, else 0 */
    size_t burst_bytes;        /* of rows that are written between two looks at the stream */
    uint64_t bytes_per_second; /* at which the last ones were written */
    struct keylist found;      /* keys of the ranges that their rows have settled */
    struct batch batch;        /* the range's rows */
    struct copyheld held;      /* changes of tables without a key */
    struct buf frame;
};

/* How many ranges a commit writes: all that are due, or one at first, and further ones while no
 * change waits. With few, the COPYs are short. */
enum copyranges_amount { COPYRANGES_ALL, COPYRANGES_SOME, COPYRANGES_FEW };

/* Marks the ranges that a commit at this position writes. */
int copyranges_collect(struct copyranges *c, uint64_t position, enum copyranges_amount amount,
                       struct err *err) MUST_CHECK;

/* All in the open transaction. After any outcome but OUTCOME_DONE it must be rolled back. Never
 * OUTCOME_NOT. */

/* Behind the first `to` changes of batch: notes the keys of rows that they have not met, and writes
 * the changes that are held. */
enum outcome copyranges_missed(struct copyranges *c, struct session *s, const struct batch *batch,
                               uint32_t to, struct err *err);

/* Behind all changes, writes the rows of all ranges that copyranges_collect has marked, and the
 * notes. *unplaced is set as by wholes_check. */
enum outcome copyranges_write(struct copyranges *c, struct ways *ways, struct session *s,
                              bool *unplaced, struct err *err);

/* At the beginning of an attempt, which has written nothing. */
void copyranges_begin(struct copyranges *c);

void copyranges_free(struct copyranges *c);

#endif
