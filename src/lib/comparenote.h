/* comparenote.h: the file compared.SINK in the state directory, in which walpipe compare leaves its
 * last result for ackd's metrics. It is one line, TIME LSN TABLES ROWS DIFFERENCES NOT. */
#ifndef WALPIPE_COMPARENOTE_H
#define WALPIPE_COMPARENOTE_H

#include "lib/base.h"

#define COMPARENOTE_PREFIX "compared."

struct comparenote {
    uint64_t time; /* when it ended, in seconds since 1970 */
    uint64_t lsn;  /* the source's position when it began */
    uint64_t tables;
    uint64_t rows;
    uint64_t differences;
    uint64_t not_compared; /* tables, columns and rows */
};

/* Returns 0 when it is on disk, or -1 with err. */
int comparenote_write(const char *directory, const char *sink, const struct comparenote *note,
                      struct err *err) MUST_CHECK;

/* Returns false if there is no note that can be read. */
bool comparenote_read(const char *directory, const char *sink, struct comparenote *note);

#endif
