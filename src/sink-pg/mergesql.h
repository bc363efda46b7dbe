/* mergesql.h: the text of the statements that apply changes as sets of rows. The temporary table
 * has the columns op "char", mask integer, and c0, c1 ... for the plan's columns. Memory errors
 * stick to sql. */
#ifndef SINK_PG_MERGESQL_H
#define SINK_PG_MERGESQL_H

#include "sink-pg/copyout.h"
#include "sink-pg/plan.h"

/* COPY into the target, or into the temporary table, which is made and emptied where needed. */
void mergesql_copy_into_target(struct buf *sql, const struct plan *plan, enum copy_format format);
void mergesql_fill_temp(struct buf *sql, struct session *s, struct plan *plan,
                        enum copy_format format);

/* From the temporary table. Rows with op D and R are deleted. Those with op U and this mask, whose
 * bytes other than 0 mark unchanged columns, are updated. Those with op I and R are inserted. Op E
 * counts as R. With over they take the place of rows of their keys. mergesql_other_rows comes
 * first. It affects the rows that those with op I and E would overwrite with other values. Each
 * ends in "; ". */
void mergesql_other_rows(struct buf *sql, const struct plan *plan);
void mergesql_delete(struct buf *sql, const struct plan *plan);
void mergesql_update(struct buf *sql, const struct plan *plan, uint32_t number,
                     const uint8_t *mask);
void mergesql_upsert(struct buf *sql, const struct plan *plan, bool over);

#endif
