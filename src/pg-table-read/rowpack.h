/* rowpack.h: gathers rows for a frame `rows` or `absent`. */
#ifndef WALPIPE_PGTABLEREAD_ROWPACK_H
#define WALPIPE_PGTABLEREAD_ROWPACK_H

#include "pg-table-read/order.h"

/* Zero-initialise to use. */
struct rowpack {
    uint32_t count;
    struct buf rows;
    struct buf hashes;
};

/* Adds a row of len bytes of text. If the rows before are enough, they become a frame first.
 * Returns 0, or -1 if memory is out (EXIT_PEER), or a key column has no value (EXIT_BUG). */
int rowpack_add(struct rowpack *pack, uint8_t type, const struct range_order *order,
                const struct tuple *row, size_t len, struct buf *frames,
                struct err *err) MUST_CHECK;

/* Makes a frame of the gathered rows, if there are any. */
int rowpack_put(struct rowpack *pack, uint8_t type, const struct range_order *order,
                struct buf *frames, struct err *err) MUST_CHECK;

/* Drops the gathered rows. */
void rowpack_reset(struct rowpack *pack);
void rowpack_free(struct rowpack *pack);

#endif
