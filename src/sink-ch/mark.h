/* mark.h: what a table of ClickHouse says of itself, in the comment of its version column: whose
 * rows it holds, and how far it was truncated. It outlives rows and merges, and goes when the table
 * is dropped. Judges nothing.
 *
 *     walpipe: rows of 7300000000000000001/1 public.t
 *     walpipe: truncated at 167772160.0; rows of 7300000000000000001/1 public.t
 *     walpipe: rows of 7300000000000000002/1+50331656 public.t
 *
 * "truncating at" while that is being done; the numbers are the version's two halves, with a
 * UInt64 the second one is 0 (the column may have become the other type since); system identifier
 * and timeline, and the history's offset: what its LSNs are raised by in versions, so that its rows
 * win against older histories' (adopt.h). It stands in the table itself, because it must come and
 * go, and be copied, with the rows. Without "rows of" the mark is of a walpipe before that was
 * noted. */
#ifndef WALPIPE_SINKCH_MARK_H
#define WALPIPE_SINKCH_MARK_H

#include "sink-ch/table.h"

/* Reads the table's mark into table->mark; after schema_load, of a table with a version. */
int mark_read(struct server *server, const struct options *options, struct table *table,
              struct err *err) MUST_CHECK;

/* Writes table->mark, unless the comment is somebody else's or the user may not: then mark.writable
 * is false afterwards, and why says what the server answered ("": it was not asked). */
int mark_write(struct server *server, const struct options *options, struct table *table,
               struct err *why, struct err *err) MUST_CHECK;

/* Appends the mark of a table that holds nothing but its source's rows, as a literal. */
void mark_put_new(const struct table *table, struct buf *sql);

/* The comment in text; bytes of another comment leave an empty mark that is not writable. */
void mark_parse(struct bytes text, struct mark *mark);

#endif
