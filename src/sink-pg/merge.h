/* merge.h: changes of one table applied as sets of rows: inserts by COPY into the table, mixed
 * changes compacted, copied to a temporary table and merged by one statement a kind. */
#ifndef SINK_PG_MERGE_H
#define SINK_PG_MERGE_H

#include "sink-pg/compact.h"
#include "sink-pg/copyout.h"
#include "sink-pg/rows.h"

/* Zero-initialise; reused for the process's life. */
struct merge {
    bool savepoint; /* SAVEPOINT walpipe was sent; the caller clears it before */
    struct compact compact;
    struct copyout copy;
    struct row_values values;
    struct buf sql;
    struct buf masks; /* one byte a column, mask after mask */
    uint32_t masks_count;
    uint32_t *mask_rows; /* how many updates each mask has */
};

enum merge_result {
    MERGE_DONE,
    MERGE_NOT,   /* not a case for sets of rows, or the counts are not the expected ones: roll back
                    to the savepoint and apply one by one */
    MERGE_FAILED /* err is set: by the server, or the connection is lost */
};

/* Both begin with SAVEPOINT walpipe and do not release it. */

/* The list holds inserts only. */
enum merge_result merge_copy(struct merge *m, struct session *s, const struct batch *batch,
                             struct table *table, const struct op_list *list, struct err *err);

/* evict: every row that is written is deleted before, so that unique values can change places. */
enum merge_result merge_apply(struct merge *m, struct session *s, const struct batch *batch,
                              struct table *table, const struct op_list *list, bool evict,
                              struct err *err);

void merge_free(struct merge *m);

#endif
