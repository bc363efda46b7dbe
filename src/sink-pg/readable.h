/* readable.h: a value in PostgreSQL's binary format as people read it, for messages. */
#ifndef SINK_PG_READABLE_H
#define SINK_PG_READABLE_H

#include "lib/event.h"

/* As the type's text format has it, for the types that keys are made of; the bytes in hexadecimal,
 * "\x0a0b", for others and for what is none of the type. Cut to fit; text stays whole characters
 * only if it fits. type_oid is the source's. */
void readable_binary(uint32_t type_oid, const struct value *value, char *out, size_t size);

#endif
