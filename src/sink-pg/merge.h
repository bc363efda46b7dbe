/* merge.h: applies changes of one table as sets of rows. Inserts go by COPY into the table. Mixed
 * changes are compacted, copied to a temporary table and merged by one statement per kind. */
#ifndef SINK_PG_MERGE_H
#define SINK_PG_MERGE_H

#include "sink-pg/compact.h"
#include "sink-pg/copyout.h"
#include "sink-pg/rows.h"

/* Zero-initialise to use, and set values. Reused for the process's life. */
struct merge {
    bool savepoint; /* the attempt has sent it */
    struct compact compact;
    struct copyout copy;
    struct row_values *values; /* borrowed, for the current row */
    struct buf sql;
    struct buf masks; /* one byte per column, mask after mask */
    uint32_t masks_count;
    uint32_t *mask_rows; /* how many updates each mask has */
};

/* Rows that come one by one. */
struct row_source {
    /* Sets *row to the next row's values, in the source's column order. They are valid until the
     * next call. Returns 1, 0 behind the last row, or -1 with err. */
    int (*next)(void *context, const struct value **row, struct err *err);
    void *context;
};

/* Each is an attempt inside an open transaction. They return OUTCOME_DONE, or OUTCOME_NOT, also if
 * the server refuses something, or the kind of the failure. */

/* The list holds inserts only. */
enum outcome merge_copy(struct merge *m, struct session *s, const struct op_list *list,
                        struct err *err);

/* Inserts rows. Each is passed to COPY at once, and not kept. */
enum outcome merge_copy_rows(struct merge *m, struct session *s, struct table *table,
                             const struct row_source *rows, struct err *err);

/* With evict, every row that is written is deleted before, so that unique values can change
 * places. */
enum outcome merge_apply(struct merge *m, struct session *s, const struct op_list *list, bool evict,
                         struct err *err);

void merge_free(struct merge *m);

#endif
