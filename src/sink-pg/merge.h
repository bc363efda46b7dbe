/* merge.h: changes of one table applied as sets of rows: inserts by COPY into the table, mixed
 * changes compacted, copied to a temporary table and merged by one statement a kind. */
#ifndef SINK_PG_MERGE_H
#define SINK_PG_MERGE_H

#include "sink-pg/compact.h"
#include "sink-pg/copyout.h"
#include "sink-pg/rows.h"

/* Zero-initialise and set values; reused for the process's life. */
struct merge {
    bool savepoint; /* the attempt has sent it */
    struct compact compact;
    struct copyout copy;
    struct row_values *values; /* lent, for the row in hand */
    struct buf sql;
    struct buf masks; /* one byte a column, mask after mask */
    uint32_t masks_count;
    uint32_t *mask_rows; /* how many updates each mask has */
};

/* Both are an attempt inside an open transaction: OUTCOME_DONE, OUTCOME_NOT, also when the server
 * refuses something, or how it failed. */

/* The list holds inserts only. */
enum outcome merge_copy(struct merge *m, struct session *s, const struct op_list *list,
                        struct err *err);

/* evict: every row that is written is deleted before, so that unique values can change places. */
enum outcome merge_apply(struct merge *m, struct session *s, const struct op_list *list, bool evict,
                         struct err *err);

void merge_free(struct merge *m);

#endif
