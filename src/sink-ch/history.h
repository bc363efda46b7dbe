/* history.h: whose rows a target holds. The versions of its rows are made of LSNs, which mean
 * nothing outside of one cluster and timeline: rows of another one may hide the source's for ever.
 * So each table's mark names its history, and a target that holds another one is refused before
 * anything is confirmed. Decides nothing about a slot: that is ackd's. */
#ifndef WALPIPE_SINKCH_HISTORY_H
#define WALPIPE_SINKCH_HISTORY_H

#include "sink-ch/state.h"

/* At the start, after journal_open: whether the journal, and after a promotion the marks and rows
 * of all tables, fit the source. 0, or -1 with err. */
int history_open(struct worker *worker, struct err *err) MUST_CHECK;

/* Reads a table's mark; refuses rows of another history, marks the table as the source's. After
 * schema_load. 0, or -1 with err. */
int history_admit(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

#endif
