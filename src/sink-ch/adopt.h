/* adopt.h: --adopt, for tables with rows of another history that are to take the source's rows from
 * now on. A table's mark gets an offset (mark.h) that is higher than every version in it, so every
 * new row wins. Rows that the source does not have stay. Only a person can tell whether they were
 * repaired, so no other command ever raises an offset. */
#ifndef WALPIPE_SINKCH_ADOPT_H
#define WALPIPE_SINKCH_ADOPT_H

#include "sink-ch/state.h"

/* Reads hello, relation events and end from the intake, and connects to the server after hello.
 * Prints a line for each table, which is ok (nothing to do), warn (adopted, or would be), or FAIL.
 * Changes nothing except with --adopt do. Returns 0, 1 if a line is FAIL, or -1 with err. */
int adopt_run(struct worker *worker, struct err *err) MUST_CHECK;

#endif
