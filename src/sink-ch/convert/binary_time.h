/* binary_time.h: converts date, time and timestamp types and interval from binary format to
 * text. */
#ifndef WALPIPE_SINKCH_CONVERT_BINARY_TIME_H
#define WALPIPE_SINKCH_CONVERT_BINARY_TIME_H

#include "lib/buf.h"
#include "lib/cursor.h"

/* Appends it to out. Returns false if it is malformed. */
bool convert_binary_time(struct cursor *c, uint32_t oid, struct buf *out) MUST_CHECK;

#endif
