/* tables.h: the worker's tables: those that the stream describes, and those of ranges of a copy,
 * whose rows may have other columns. Each has a number, by which the batch knows it. */
#ifndef WALPIPE_SINKCH_TABLES_H
#define WALPIPE_SINKCH_TABLES_H

#include "sink-ch/state.h"

bool tables_same_relation(const struct relation *a, const struct relation *b);

/* The stream describes a table, in place of `old` (NULL: it is new). Takes over the relation. */
int tables_put(struct worker *worker, struct relation *relation, struct table *old,
               struct err *err) MUST_CHECK;

/* Before a table's first row: looks at its target, and makes it where that is allowed. */
int tables_make_ready(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

/* The table for rows of a range, ready to be written: the stream's if it has the same description.
 * Nothing of the table may wait in the batch. NULL with err. */
struct table *tables_of_range(struct worker *worker, const struct relation *relation,
                              struct err *err) MUST_CHECK;

/* The same, of a relation event that was encoded. */
struct table *tables_of_described(struct worker *worker, const struct buf *described,
                                  struct err *err) MUST_CHECK;

#endif
