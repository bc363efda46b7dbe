/* batch.h: the changes that wait to be applied. It has their frames, one behind the other, and a
 * list that describes each. Nothing is allocated per row. */
#ifndef SINK_PG_BATCH_H
#define SINK_PG_BATCH_H

#include "sink-pg/tables.h"

/* Frame bytes after which a batch is applied, no matter how few rows they are. One row of up to
 * FRAME_MAX may come on top. Together they bound a worker's memory. */
#define BATCH_BYTES_MAX (4u << 20)

struct op_truncate {
    struct op_truncate *next;
    uint8_t flags;
    uint32_t count;
    struct table *tables[];
};

struct op {
    struct table *table; /* NULL for a truncate */
    struct op_truncate *truncate;
    uint64_t offset; /* of the frame's body in bytes */
    uint32_t length;
    uint32_t next; /* the same table's next row in the segment that is being applied */
    uint64_t commit_lsn;
    uint8_t type; /* frame type, BATCH_CUT where a table's description changed */
    bool missed;  /* an update of a table that is copied has met no row, and inserted none */
};

#define BATCH_CUT 255

/* Zero-initialise to use. */
struct batch {
    struct buf bytes;
    struct op *ops;
    uint32_t count;
    uint32_t size;
    uint32_t rows;     /* of count */
    uint32_t boundary; /* ops before it are of transactions whose commit has come */
    struct op_truncate *truncates;
};

/* Changes of a batch, which are the ops from `first` up to (not with) `end`. If linked, they are
 * count ops from `first` on through op.next. */
struct op_list {
    struct batch *batch;
    struct table *table; /* their table, NULL if they have several, or contain truncates */
    bool linked;
    uint32_t first;
    uint32_t end;
    uint32_t count;
    uint32_t inserts; /* of count */
};

/* The op behind `at`, OP_NONE if it was the last. */
uint32_t op_list_next(const struct op_list *list, uint32_t at);

int batch_add_row(struct batch *b, struct table *table, uint8_t type, struct bytes body,
                  uint64_t commit_lsn, struct err *err) MUST_CHECK;

/* Every relid must be known to tables. If changes of a table also go to its staging table, that one
 * is truncated, too. If the table is behind, only the staging table is truncated. */
int batch_add_truncate(struct batch *b, const struct tables *tables,
                       const struct truncate_event *truncate, uint64_t commit_lsn,
                       struct err *err) MUST_CHECK;
int batch_add_cut(struct batch *b, struct err *err) MUST_CHECK;

/* Forgets the first n ops. */
void batch_drop(struct batch *b, uint32_t n);
void batch_free(struct batch *b);

/* ---- one row, as its table's plan sees it ---- */

/* Values are in the source's column order and point into the batch. Unchanged TOAST values that the
 * old row has are filled in. */
struct change {
    uint8_t type;
    const struct value *new_row; /* NULL for a delete */
    const struct value *match;   /* values that find the row, from the old row if there is one,
                                    otherwise from the new one */
    bool key_changed;
    bool complete; /* no unchanged TOAST value is left in new_row */
    bool copied;   /* its table is being copied, so its row may not be there yet */
};

/* The same bytes in the same format. */
bool value_equal(const struct value *a, const struct value *b);

/* Returns -1 with err (naming table and LSN) if the frame is malformed or does not fit the table's
 * description. table->plan must be there. change is valid until the next call with values. */
int change_decode(const struct batch *b, const struct op *op, struct row_values *values,
                  struct change *change, struct err *err) MUST_CHECK;

/* Puts table, LSN and, for a person, the row's key into err. */
void change_name(const struct op *op, const struct change *change, struct err *err);

#endif
