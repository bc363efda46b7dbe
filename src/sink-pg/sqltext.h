/* sqltext.h: building SQL text in a struct buf. Memory errors stick to the buf. */
#ifndef SINK_PG_SQLTEXT_H
#define SINK_PG_SQLTEXT_H

#include "lib/buf.h"

void sqltext_add(struct buf *sql, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The name in double quotes, those inside doubled. */
void sqltext_name(struct buf *sql, const char *name);

/* The text, NUL-terminated, until the next append. NULL if memory was out. */
const char *sqltext_get(struct buf *sql);

#endif
