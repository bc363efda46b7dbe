/* ways.h: the changes of one table, applied as sets of rows where that works, else one by one. */
#ifndef SINK_PG_WAYS_H
#define SINK_PG_WAYS_H

#include "sink-pg/merge.h"
#include "sink-pg/rows.h"

/* Zero-initialise; reused for the process's life. */
struct ways {
    struct rows rows;
    struct merge merge;
};

/* One by one may be slower for this list: it is long, or has a large row. */
bool ways_suit_set(const struct op_list *list);

/* In an open transaction. A table whose triggers or rules fire: always one by one. careful: one by
 * one, with constraints deferred. Anything but OUTCOME_DONE leaves the transaction to be rolled
 * back; never OUTCOME_NOT. */
enum outcome ways_apply(struct ways *w, struct session *s, const struct op_list *list, bool careful,
                        struct err *err);

void ways_free(struct ways *w);

#endif
