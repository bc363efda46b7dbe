/* ways.h: applies the changes of one table as sets of rows if possible, otherwise one by one. */
#ifndef SINK_PG_WAYS_H
#define SINK_PG_WAYS_H

#include "sink-pg/merge.h"
#include "sink-pg/rows.h"

/* Zero-initialise to use. Reused for the process's life. */
struct ways {
    struct rows rows;
    struct merge merge;
};

/* Whether one by one may be slower for this list, because it is long, or has a large row. */
bool ways_suit_set(const struct op_list *list);

/* Call it in an open transaction. A table whose triggers or rules fire always goes one by one. With
 * `careful`, all go one by one, with constraints deferred. After any outcome but OUTCOME_DONE the
 * transaction must be rolled back. Never OUTCOME_NOT. */
enum outcome ways_apply(struct ways *w, struct session *s, const struct op_list *list, bool careful,
                        struct err *err);

void ways_free(struct ways *w);

#endif
