/* text.h: text of any length, printed. */
#ifndef WALPIPE_PGTABLEREAD_TEXT_H
#define WALPIPE_PGTABLEREAD_TEXT_H

#include "lib/buf.h"

/* As printf, into memory that the caller frees. NULL: out of memory. */
char *text_print(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Appends text, which may be NULL where memory was out: buf fails then. */
void text_append(struct buf *buf, const char *text);

#endif
