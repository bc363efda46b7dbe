/* copynotes.h: the table walpipe_tables. It has the state of the copy for each physical table and
 * worker.
 *
 * A row with source `*` and relid 0 has the state of all tables without a row. "waiting" means that
 * such a table must be copied. "streaming" means that an older walpipe without these rows has
 * replicated all its tables. The row is written when the sink copies for the first time. A row with
 * the state "gone" counts as deleted. */
#ifndef WALPIPE_SINKCH_COPYNOTES_H
#define WALPIPE_SINKCH_COPYNOTES_H

#include "lib/copying.h"
#include "lib/layout.h"
#include "sink-ch/noterows.h"
#include "sink-ch/options.h"

/* Zero-initialise, then set rows.table, options and layout. */
struct copynotes {
    struct noterows rows;
    struct { /* the tables that park.h found, before the notes are loaded */
        uint32_t *relids;
        size_t count;
    } parked;
    const struct options *options;
    const struct layout *layout;
    uint64_t found; /* the sink had applied or skipped everything up to here at its start */
    uint64_t layout_hash;
    bool exist; /* set by copynotes_require_none: an earlier run has made the table */
};

/* Creates walpipe_tables if it does not exist, converts the worker's notes to the stream's layout
 * and enters them into copying. followed: the sink has progress from an earlier run. */
int copynotes_load(struct copynotes *n, struct copying *c, bool followed,
                   struct err *err) MUST_CHECK;

/* Call it for a sink that does not copy. EXIT_REFUSED if a copy has not ended. */
int copynotes_require_none(struct copynotes *n, struct err *err) MUST_CHECK;

/* Call it for such a sink when it skips the table's changes from now on. Marks the table as out in
 * the notes of all workers. Returns when they are durable. */
int copynotes_leave_out(struct copynotes *n, uint32_t relid, struct err *err) MUST_CHECK;

/* Writes the notes that have changed. EXIT_REFUSED for a new table whose target has rows, or is
 * missing where none may be made. Returns when they are durable. */
int copynotes_write(struct copynotes *n, struct copying *c, struct err *err) MUST_CHECK;

/* Checks a table without a note. Its target may only have rows of a table that this sink has noted,
 * so it must be empty. EXIT_REFUSED if it has rows, or is missing where none may be made. */
int copynotes_require_empty(const struct copynotes *n, const struct copypart *part,
                            const char *target_sql, struct err *err) MUST_CHECK;

/* The target of the part's table, as SQL names it, to be freed. NULL with err. */
char *copynotes_target(const struct copynotes *n, const struct copypart *part, struct err *err);

void copynotes_free(struct copynotes *n);

#endif
