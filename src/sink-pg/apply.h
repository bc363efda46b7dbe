/* apply.h: one attempt to apply a batch: in which pieces, by which way, in which transaction. */
#ifndef SINK_PG_APPLY_H
#define SINK_PG_APPLY_H

#include "sink-pg/merge.h"
#include "sink-pg/progress.h"
#include "sink-pg/rows.h"

/* Zero-initialise, then set session and progress up. */
struct applier {
    struct session session;
    struct progress progress;
    struct rows rows;
    struct merge merge;
    bool stale; /* what is prepared in the session should be dropped at the next chance */
};

enum apply_result {
    APPLY_DONE,
    APPLY_RETRY,   /* err is set: the connection is lost, or the server says that waiting helps */
    APPLY_REFUSED, /* err is set: by the data, the target's tables or rights */
    APPLY_FAILED   /* err is set: another worker took over, or a bug */
};

/* Applies the first `to` ops. With commit, the transaction is committed together with this
 * progress; without, it stays open. careful: one by one, with constraints deferred. After anything
 * but APPLY_DONE the transaction is rolled back, or the connection is closed. */
enum apply_result apply_batch(struct applier *a, struct batch *batch, uint32_t to,
                              const struct position *commit, bool careful, struct err *err);

void apply_free(struct applier *a);

#endif
