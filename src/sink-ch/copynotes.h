/* copynotes.h: the table walpipe_tables. It has the state of the copy for each physical table and
 * worker.
 *
 * A row with source `*` and relid 0 has the state of all tables without a row.
 * "waiting": it is to be copied. "streaming": a walpipe that kept no such rows had all its tables
 * streaming. Written where a copy was asked for first. A row that is "gone" is none. */
#ifndef WALPIPE_SINKCH_COPYNOTES_H
#define WALPIPE_SINKCH_COPYNOTES_H

#include "lib/copying.h"
#include "lib/layout.h"
#include "sink-ch/noterows.h"
#include "sink-ch/options.h"

/* Zero-initialise, then set rows.table, options and layout. */
struct copynotes {
    struct noterows rows;
    const struct options *options;
    const struct layout *layout;
    uint64_t found; /* the sink had everything up to here at its start, or passed it over */
    uint64_t layout_hash;
    bool exist; /* set by copynotes_require_none: an earlier run has made the table */
};

/* Makes walpipe_tables where it is missing, brings the worker's notes to the stream's layout and
 * hands them to copying. followed: the sink has progress that it made before. */
int copynotes_load(struct copynotes *n, struct copying *c, bool followed,
                   struct err *err) MUST_CHECK;

/* Of a sink that takes no copies. EXIT_REFUSED where a copy has not ended. */
int copynotes_require_none(struct copynotes *n, struct err *err) MUST_CHECK;

/* Of such a sink, which passes the table's changes over from here on: the notes of all workers say
 * that it is out. Returns when they are durable. */
int copynotes_leave_out(struct copynotes *n, uint32_t relid, struct err *err) MUST_CHECK;

/* Writes the notes that have changed. EXIT_REFUSED for a new table whose target has rows, or is
 * missing where none may be made. Returns when they are durable. */
int copynotes_write(struct copynotes *n, struct copying *c, struct err *err) MUST_CHECK;

/* Of a table without a note. Only rows that a worker of this sink has noted may be in its target,
 * and none has. EXIT_REFUSED if it has rows, or is missing where none may be made. */
int copynotes_require_empty(const struct copynotes *n, const struct copypart *part,
                            const char *target_sql, struct err *err) MUST_CHECK;

/* The target of the part's table, as SQL names it, to be freed. NULL with err. */
char *copynotes_target(const struct copynotes *n, const struct copypart *part, struct err *err);

void copynotes_free(struct copynotes *n);

#endif
