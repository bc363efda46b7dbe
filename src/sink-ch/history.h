/* history.h: whose rows a target holds. The versions of its rows are made of LSNs, which mean
 * nothing outside of one cluster and timeline: rows of another one may hide the source's for ever.
 * So each table's mark names its history, and a target that holds another one is refused before
 * anything is confirmed. Decides nothing about a slot: that is ackd's. */
#ifndef WALPIPE_SINKCH_HISTORY_H
#define WALPIPE_SINKCH_HISTORY_H

#include "sink-ch/state.h"

/* At the start, after journal_open: judges every table that is marked with another timeline of the
 * source's cluster, and marks it as the source's. 0, or -1 with err. */
int history_open(struct worker *worker, struct err *err) MUST_CHECK;

/* Reads a table's mark; refuses rows of another history, marks the table as the source's. After
 * schema_load. 0, or -1 with err. */
int history_admit(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

/* Reads a table's mark and judges as history_admit does, without a trace. 0: it would be admitted;
 * 1: refused, and why says what run would say; -1 with err. */
int history_look(struct worker *worker, struct table *table, struct err *why,
                 struct err *err) MUST_CHECK;

/* Before changes of the transaction in hand are written to the table: notes them elsewhere if it
 * cannot say itself whose rows it holds. After history_admit. 0, or -1 with err. */
int history_announce(struct worker *worker, const struct table *table, struct err *err) MUST_CHECK;

/* The highest LSN in the table's versions; 0: none. 0, or -1 with err. */
int history_highest(struct worker *worker, const struct table *table, uint64_t *lsn,
                    struct err *err) MUST_CHECK;

/* Refuses a table whose mark says that it holds the rows of another source table. */
int history_check_name(const struct worker *worker, const struct table *table,
                       struct err *err) MUST_CHECK;

/* A table with rows of another timeline of the source's cluster: target, target_sql, version_width
 * and mark are set. */
typedef int history_visit(struct worker *worker, struct table *table, void *context,
                          struct err *err);

/* Visits all of them, published or not. 0, or -1 with err. */
int history_each(struct worker *worker, history_visit *visit, void *context,
                 struct err *err) MUST_CHECK;

#endif
