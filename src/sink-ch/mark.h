/* mark.h: a table's mark in ClickHouse, in the comment of its version column. It records the origin
 * of the table's rows, and how far it was truncated. It stays when rows are deleted or merged, and
 * is removed with the table. This file decides nothing by it.
 *
 *     walpipe: rows of 7300000000000000001/1 public.t
 *     walpipe: truncated at 167772160.0; rows of 7300000000000000001/1 public.t
 *     walpipe: rows of 7300000000000000002/1+50331656 public.t
 *
 * It has "truncating at" during the truncate. The numbers are the version's two halves. With a
 * UInt64 the second one is 0 (the column may have become the other type since). Then come system
 * identifier and timeline, and the history's offset. In versions its LSNs are raised by the offset,
 * so that its rows win against older histories' (adopt.h). The mark is in the table itself, because
 * it must come and go, and be copied, with the rows. A mark without "rows of" is from a walpipe
 * before that part existed. */
#ifndef WALPIPE_SINKCH_MARK_H
#define WALPIPE_SINKCH_MARK_H

#include "sink-ch/table.h"

/* Reads the table's mark into table->mark. Call it after schema_load, for a table with a
 * version. */
int mark_read(struct server *server, const struct options *options, struct table *table,
              struct err *err) MUST_CHECK;

/* Writes table->mark, unless another program wrote the comment or the user has no right to. Then
 * mark.writable is false afterwards, and why has the server's answer ("" if it was not asked). */
int mark_write(struct server *server, const struct options *options, struct table *table,
               struct err *why, struct err *err) MUST_CHECK;

/* Appends the mark of a table that has only rows of its source, as an SQL literal. */
void mark_put_new(const struct table *table, struct buf *sql);

/* Parses the comment in text. Another comment leaves an empty mark that is not writable. */
void mark_parse(struct bytes text, struct mark *mark);

#endif
