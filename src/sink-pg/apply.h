/* apply.h: one attempt to apply a batch: in which pieces, in which order, in which transaction. */
#ifndef SINK_PG_APPLY_H
#define SINK_PG_APPLY_H

#include "sink-pg/copyranges.h"
#include "sink-pg/progress.h"
#include "sink-pg/ways.h"
#include "sink-pg/wholes.h"

/* Zero-initialise, then set session and progress up. */
struct applier {
    struct session session;
    struct progress progress;
    struct ways ways;
    const struct tables *tables;
    bool stale; /* what is prepared in the session should be dropped at the next chance */
    struct signatures signatures;
    struct watch watch;
    bool asks;    /* for signatures, in the pipeline */
    bool noticed; /* a table may have changed */
    bool changed; /* a table is not any more what its plan was made for: the attempt is undone, and
                     a new one reads the catalog anew */
    const struct wholes *wholes; /* of a sink with several workers; else NULL */
    struct copyranges *copies;   /* NULL: the stream brings none */
    bool unplaced;               /* a table is not where it must be: only a restart helps */
};

/* The first `to` ops of a batch. */
struct apply_work {
    struct batch *batch;
    uint32_t to;
    const struct position *commit; /* the transaction is committed together with this progress;
                                      NULL: it stays open */
    bool careful;                  /* one by one, with constraints deferred */
    bool apart; /* changes of the tables by the transaction itself are none: of one that stays open,
                   is longer than this, or changed them before */
};

/* After anything but OUTCOME_DONE the transaction is rolled back, or the connection is closed.
 * Never OUTCOME_NOT. */
enum outcome apply_batch(struct applier *a, const struct apply_work *work, struct err *err);

void apply_free(struct applier *a);

#endif
