/* binary.h: PostgreSQL's binary format to its text format. */
#ifndef WALPIPE_SINKCH_CONVERT_BINARY_H
#define WALPIPE_SINKCH_CONVERT_BINARY_H

#include "lib/cursor.h"
#include "sink-ch/convert/base.h"

/* Writes the value's text to convert->binary. bytea becomes its bytes. */
enum convert_status convert_binary(struct convert *convert, uint32_t oid, struct bytes value);

#endif
