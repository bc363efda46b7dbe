/* rowpack.h: rows gathered until they are a frame: `rows`, or `absent`. */
#ifndef WALPIPE_PGTABLEREAD_ROWPACK_H
#define WALPIPE_PGTABLEREAD_ROWPACK_H

#include "pg-table-read/order.h"

/* Zero-initialise to use. */
struct rowpack {
    uint32_t count;
    struct buf rows;
    struct buf hashes;
};

/* Adds a row of len bytes of text; what was gathered before becomes a frame where it is enough. 0,
 * or -1: memory is out (EXIT_PEER), or a key column has no value (EXIT_BUG). */
int rowpack_add(struct rowpack *pack, uint8_t type, const struct range_order *order,
                const struct tuple *row, size_t len, struct buf *frames,
                struct err *err) MUST_CHECK;

/* What is gathered becomes a frame; nothing is none. */
int rowpack_put(struct rowpack *pack, uint8_t type, const struct range_order *order,
                struct buf *frames, struct err *err) MUST_CHECK;

/* Forgets what is gathered. */
void rowpack_reset(struct rowpack *pack);
void rowpack_free(struct rowpack *pack);

#endif
