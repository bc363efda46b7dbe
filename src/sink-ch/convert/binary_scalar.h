/* binary_scalar.h: converts types that are not made of others from binary format to text. */
#ifndef WALPIPE_SINKCH_CONVERT_BINARY_SCALAR_H
#define WALPIPE_SINKCH_CONVERT_BINARY_SCALAR_H

#include "lib/buf.h"
#include "lib/cursor.h"

/* Appends one value to out. Returns false if it is malformed. Also returns false, with *known set
 * to false, for a type that is not read here. */
bool convert_binary_scalar(struct cursor *c, uint32_t oid, struct buf *out, bool *known) MUST_CHECK;

/* Two's complement of 2, 4 or 8 bytes. */
bool convert_binary_integer(struct cursor *c, size_t width, int64_t *out) MUST_CHECK;

#endif
