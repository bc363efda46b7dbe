/* readable.h: a value in PostgreSQL's binary format as readable text, for messages. */
#ifndef SINK_PG_READABLE_H
#define SINK_PG_READABLE_H

#include "lib/event.h"

/* Writes the type's text format for types that are usual in keys. Other types, and malformed
 * values, are written as bytes in hexadecimal, "\x0a0b". Cut to fit. Text stays whole characters
 * only if it fits. type_oid is the source's. */
void readable_binary(uint32_t type_oid, const struct value *value, char *out, size_t size);

#endif
