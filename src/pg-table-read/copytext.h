/* copytext.h: a row of COPY ... TO STDOUT in text format. It has columns with tabs between them, \N
 * for NULL, and a backslash before characters that could be taken for one of these. The source is
 * COPY, "Text Format". */
#ifndef WALPIPE_PGTABLEREAD_COPYTEXT_H
#define WALPIPE_PGTABLEREAD_COPYTEXT_H

#include "lib/copyevent.h"

/* Removes the escapes from line, in place. Its len bytes end with a line feed. The values point
 * into it. Returns false if it has another number of columns than count, or an escape that COPY
 * does not write. */
bool copytext_row(char *line, size_t len, struct value *values, uint32_t count) MUST_CHECK;

/* A ctid as PostgreSQL prints it, "(block,line)". */
bool copytext_ctid(const struct value *value, struct ctid *ctid) MUST_CHECK;

#endif
