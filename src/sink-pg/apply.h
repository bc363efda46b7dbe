/* apply.h: one attempt to apply a batch. It decides the pieces, their order, and the
 * transaction. */
#ifndef SINK_PG_APPLY_H
#define SINK_PG_APPLY_H

#include "sink-pg/copyranges.h"
#include "sink-pg/progress.h"
#include "sink-pg/skipnotes.h"
#include "sink-pg/ways.h"
#include "sink-pg/wholes.h"

/* Zero-initialise to use, then set up session and progress. */
struct applier {
    struct session session;
    struct progress progress;
    struct ways ways;
    const struct tables *tables;
    bool stale; /* the session's prepared statements should be dropped at the next chance */
    struct signatures signatures;
    struct watch watch;
    bool asks;    /* for signatures, in the pipeline */
    bool noticed; /* a table may have changed */
    bool changed; /* a table no longer fits its plan, so the attempt is undone, and a new one reads
                     the catalog again */
    const struct wholes *wholes; /* of a sink with several workers, otherwise NULL */
    struct copyranges *copies;   /* NULL if the stream brings none */
    const struct skips *skips;   /* changes that were skipped, and the notes of them */
    const struct skipnotes *skipnotes;
    bool refused_commit; /* the server has refused the COMMIT, so any of the batch's transactions
                            may be the cause */
    bool refused_copy;   /* rows of ranges or held changes are the cause, or may be: they are of no
                            transaction that is still to come */
    bool unplaced;       /* a table is at the wrong worker, and only a restart helps */
};

/* The first `to` ops of a batch. */
struct apply_work {
    struct batch *batch;
    uint32_t to;
    const struct position *commit; /* committed with the transaction, NULL to leave it open */
    bool careful;                  /* one by one, with constraints deferred */
    bool each;  /* careful, and they are checked behind each of the source's transactions */
    bool apart; /* the transaction's own changes of the tables do not count, because it stays open,
                   is longer than this, or changed them before */
};

/* After anything but OUTCOME_DONE the transaction is rolled back, or the connection is closed.
 * Never OUTCOME_NOT. */
enum outcome apply_batch(struct applier *a, const struct apply_work *work, struct err *err);

void apply_free(struct applier *a);

#endif
