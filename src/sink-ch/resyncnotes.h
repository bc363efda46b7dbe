/* resyncnotes.h: the notes of all workers of a table that is copied again. Decides nothing. */
#ifndef WALPIPE_SINKCH_RESYNCNOTES_H
#define WALPIPE_SINKCH_RESYNCNOTES_H

#include "sink-ch/copynotes.h"

/* Sets *since to the lowest position at which the resync has begun in a worker, for a part. 0: some
 * worker has no such note. */
int resyncnotes_since(struct copynotes *n, uint32_t relid, uint64_t *since,
                      struct err *err) MUST_CHECK;

/* Sets the table to streaming in the notes of all workers. Later notes of a worker are valid only
 * if it has called resyncnotes_are_done before. */
int resyncnotes_end(struct copynotes *n, uint32_t relid, struct err *err) MUST_CHECK;

/* Whether the notes of this worker say so. */
int resyncnotes_are_done(struct copynotes *n, uint32_t relid, bool *done,
                         struct err *err) MUST_CHECK;

/* Sets the resync to not begun in the notes of all workers. Later notes of workers that have not
 * read these are ignored. */
int resyncnotes_restart(struct copynotes *n, uint32_t relid, struct err *err) MUST_CHECK;

/* Records that the next start copies the table again. part has the table's present names and relid.
 * Notes of another table of that name are removed. A table without a note gets one. */
int resyncnotes_ask(struct copynotes *n, const struct copypart *part, struct err *err) MUST_CHECK;

/* For all tables of a sink. part is as for resyncnotes_ask. */
struct resyncnotes_table {
    struct copypart part;
    bool anew; /* it is copied as a new table: its notes are removed */
    bool noted;
};

/* Records that the next start copies all these tables again, that other tables are out, and that a
 * table without a note is a new one. Sets noted. */
int resyncnotes_attach(struct copynotes *n, struct resyncnotes_table *tables, size_t count,
                       struct err *err) MUST_CHECK;

#endif
