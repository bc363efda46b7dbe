/* notes.h: oddities of a target table that are not refused, for --check. */
#ifndef SINK_PG_NOTES_H
#define SINK_PG_NOTES_H

#include "lib/base.h"

/* Zero-initialise to use. Notes beyond the last place are dropped. */
struct notes {
    char text[8][400];
    size_t count;
};

/* notes may be NULL if they are not wanted. */
void notes_add(struct notes *notes, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
