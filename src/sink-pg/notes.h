/* notes.h: what is strange about a target table, but not refused, for --check. */
#ifndef SINK_PG_NOTES_H
#define SINK_PG_NOTES_H

#include "lib/base.h"

/* Zero-initialise. What comes after the last place is dropped. */
struct notes {
    char text[8][400];
    size_t count;
};

/* notes may be NULL: nobody wants to know. */
void notes_add(struct notes *notes, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
