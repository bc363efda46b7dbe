/* history.h: the origin of the rows in a target. The versions of its rows are made of LSNs, which
 * have no meaning outside of one cluster and timeline. Rows of another one may hide the source's
 * for ever. So each table's mark names its history, and a target with another history is refused
 * before anything is confirmed. ackd decides about the slot. */
#ifndef WALPIPE_SINKCH_HISTORY_H
#define WALPIPE_SINKCH_HISTORY_H

#include "sink-ch/state.h"

/* Call it at the start, after journal_open. Judges every table that is marked with another timeline
 * of the source's cluster, and marks it as the source's. Returns 0, or -1 with err. */
int history_open(struct worker *worker, struct err *err) MUST_CHECK;

/* Reads a table's mark, refuses rows of another history, and marks the table as the source's. Call
 * it after schema_load. Returns 0, or -1 with err. */
int history_admit(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

/* Reads a table's mark and judges as history_admit does, without changes. Returns 0 if it would be
 * admitted, 1 if it would be refused, with run's error in why, or -1 with err. */
int history_look(struct worker *worker, struct table *table, struct err *why,
                 struct err *err) MUST_CHECK;

/* Call it after history_admit, before changes of the current transaction are written to the table.
 * If the table's mark cannot record the origin of its rows, it is noted elsewhere. Returns 0, or -1
 * with err. */
int history_announce(struct worker *worker, const struct table *table, struct err *err) MUST_CHECK;

/* Sets *lsn to the highest LSN in the table's versions, 0 if none. Returns 0, or -1 with err. */
int history_highest(struct worker *worker, const struct table *table, uint64_t *lsn,
                    struct err *err) MUST_CHECK;

/* Refuses a table whose mark names another source table. */
int history_check_name(const struct worker *worker, const struct table *table,
                       struct err *err) MUST_CHECK;

/* Called for a table with rows of another timeline of the source's cluster. target, target_sql,
 * version_width and mark are set. */
typedef int history_visit(struct worker *worker, struct table *table, void *context,
                          struct err *err);

/* Visits all of them, published or not. Returns 0, or -1 with err. */
int history_each(struct worker *worker, history_visit *visit, void *context,
                 struct err *err) MUST_CHECK;

#endif
