/* copynotes.h: walpipe's notes in the target about the tables that it copies.
 *
 *     walpipe.tables   for each physical table and worker, state and finished ranges
 *     walpipe.missing  keys of rows that must be read again
 *
 * walpipe.tables also has a row for the sink as a whole, with source `*`. Its state is that of a
 * table without a row. "waiting" means that the table must be copied. "streaming" means that an
 * older walpipe, which kept no such rows, had all its tables streaming. It is written when a copy
 * is first asked for. */
#ifndef SINK_PG_COPYNOTES_H
#define SINK_PG_COPYNOTES_H

#include "lib/copying.h"
#include "sink-pg/copyheld.h"
#include "sink-pg/copymissing.h"
#include "sink-pg/park.h"
#include "sink-pg/staging.h"

/* Zero-initialise to use, then set the owner of the notes. */
struct copynotes {
    const char *pipeline;
    const struct hello *hello;
    const struct layout *layout;
    const struct tablemap *map;
    const struct copyheld *held;
    const struct staging *staging;
    struct copymissing missing;
    bool exist; /* set by copynotes_require_none: an earlier run has made the tables */
    struct park park;
};

/* Creates the tables if they are missing, converts the rows to the stream's layout, and enters them
 * into copying. Call it after progress_start. */
int copynotes_load(struct copynotes *n, struct session *s, struct copying *c,
                   struct err *err) MUST_CHECK;

/* For a sink that does not copy. EXIT_REFUSED if a copy has not ended. */
int copynotes_require_none(struct copynotes *n, struct session *s, struct err *err) MUST_CHECK;

/* For such a sink, when it skips the table's changes from now on. Marks the table as out in this
 * worker's notes, in the open transaction or at once. The notes of the others stay as they are,
 * because their locks would be held until the commit. */
int copynotes_leave_out(const struct copynotes *n, struct session *s, uint32_t relid,
                        struct err *err) MUST_CHECK;

/* Sets err to the message about a new table whose target has rows. Returns -1. */
int copynotes_refuse_rows(const char *schema, const char *name, struct err *err);

/* ---- in the transaction of a commit ---- */

/* Writes the notes that have changed. EXIT_REFUSED for a new table whose target has rows. */
int copynotes_write(const struct copynotes *n, struct session *s, struct copying *c,
                    struct err *err) MUST_CHECK;

/* `sink-pg --drop-progress`. */
int copynotes_drop(struct session *s, const char *pipeline, const char *sink,
                   struct err *err) MUST_CHECK;

#endif
