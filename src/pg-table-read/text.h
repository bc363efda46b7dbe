/* text.h: text of any length, printed. */
#ifndef WALPIPE_PGTABLEREAD_TEXT_H
#define WALPIPE_PGTABLEREAD_TEXT_H

#include "lib/buf.h"

/* Like printf, into memory that the caller frees. NULL when memory is out. */
char *text_print(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Appends text. It may be NULL if memory was out, and then buf fails. */
void text_append(struct buf *buf, const char *text);

#endif
