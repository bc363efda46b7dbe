/* notes.c: see notes.h. */
#include "sink-pg/notes.h"

#include <stdarg.h>
#include <stdio.h>

void
notes_add(struct notes *notes, const char *fmt, ...)
{
    va_list ap;

    if (notes == NULL || notes->count == sizeof notes->text / sizeof *notes->text)
        return;
    va_start(ap, fmt);
    vsnprintf(notes->text[notes->count++], sizeof notes->text[0], fmt, ap);
    va_end(ap);
}
