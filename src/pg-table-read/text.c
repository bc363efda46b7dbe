/* text.c: see text.h. */
#include "pg-table-read/text.h"

#include <stdarg.h>
#include <stdio.h>

char *
text_print(const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    return text;
}

void
text_append(struct buf *buf, const char *text)
{
    if (text == NULL)
        buf->failed = true;
    else
        buf_append(buf, text, strlen(text));
}
