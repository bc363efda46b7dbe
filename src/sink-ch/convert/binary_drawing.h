/* binary_drawing.h: converts points, boxes, paths and similar types from binary format to text. */
#ifndef WALPIPE_SINKCH_CONVERT_BINARY_DRAWING_H
#define WALPIPE_SINKCH_CONVERT_BINARY_DRAWING_H

#include "lib/buf.h"
#include "lib/cursor.h"

/* Appends it to out. oid is the type's. Returns false if it is malformed. */
bool convert_binary_drawing(struct cursor *c, uint32_t oid, struct buf *out) MUST_CHECK;

#endif
