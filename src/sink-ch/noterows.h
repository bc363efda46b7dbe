/* noterows.h: rows of walpipe_tables (copynotes.h), as they are read and written. Decides nothing.
 */
#ifndef WALPIPE_SINKCH_NOTEROWS_H
#define WALPIPE_SINKCH_NOTEROWS_H

#include "lib/copyparts.h"
#include "sink-ch/notetable.h"

/* A row of this sink, of whichever worker. */
struct note {
    struct copypart part;
    uint32_t shard;
    uint64_t layout;
    char *target; /* "": an older walpipe wrote it */
};

struct notes {
    struct note *list; /* by relid, part and shard */
    size_t count;
};

void notes_free(struct notes *notes);

/* A worker that does not look meanwhile writes fewer notes than that, so that those of a worker
 * that has looked and adds it to the version count more. */
#define NOTEROWS_VERSIONS_AHEAD (UINT64_C(1) << 32)

/* The state of a row that counts as deleted. */
extern const char noterows_gone[];

/* Zero-initialise, then set table. */
struct noterows {
    struct notetable table;
    uint64_t version; /* of the rows that are put; the highest that was read */
    struct buf rows;  /* that were put */
};

/* Makes walpipe_tables, or the columns that an older walpipe has not made. */
int noterows_make(const struct noterows *r, struct err *err) MUST_CHECK;
int noterows_add_columns(const struct noterows *r, struct err *err) MUST_CHECK;

/* Reads those that are not gone. Free the notes in any case. */
int noterows_read(struct noterows *r, struct notes *notes, struct err *err) MUST_CHECK;

/* Adds a row with this state to those that noterows_write writes. They come all together, as one
 * insert is one part of the table. */
void noterows_put(struct noterows *r, const struct note *note, const char *state);
int noterows_write(struct noterows *r, struct err *err) MUST_CHECK;

#endif
