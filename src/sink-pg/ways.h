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

/* Inserts rows of a range by COPY, count of them with this many bytes, if that is a good way: if
 * none of them is in the target yet. Call it in an open transaction. Returns the same as
 * merge_copy. */
enum outcome ways_copy(struct ways *w, struct session *s, struct table *table, uint32_t count,
                       size_t bytes, const struct row_source *rows, struct err *err);

/* Call it in an open transaction. A table whose triggers or rules fire always goes one by one. With
 * `careful`, all go one by one, with constraints deferred. After any outcome but OUTCOME_DONE the
 * transaction must be rolled back. Never OUTCOME_NOT. */
enum outcome ways_apply(struct ways *w, struct session *s, const struct op_list *list, bool careful,
                        struct err *err);

void ways_free(struct ways *w);

#endif
