/* binary_drawing.h: points, boxes, paths and their like: binary format to text. */
#ifndef WALPIPE_SINKCH_CONVERT_BINARY_DRAWING_H
#define WALPIPE_SINKCH_CONVERT_BINARY_DRAWING_H

#include "lib/buf.h"
#include "lib/cursor.h"

/* Appends it to out. oid: of the drawing. False: malformed. */
bool convert_binary_drawing(struct cursor *c, uint32_t oid, struct buf *out) MUST_CHECK;

#endif
