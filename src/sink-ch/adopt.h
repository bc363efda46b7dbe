/* adopt.h: --adopt: tables that hold rows of another history take the source's from now on. A
 * table's mark gets an offset (mark.h) that is higher than every version in it, so whatever comes
 * wins. Rows that the source does not have stay: whether they were repaired a person must say, so
 * nothing but this command ever raises an offset. */
#ifndef WALPIPE_SINKCH_ADOPT_H
#define WALPIPE_SINKCH_ADOPT_H

#include "sink-ch/state.h"

/* Reads hello, relation events and end from the intake, after which the server is connected, and
 * prints a line for each table: ok (nothing to do), warn (adopted, or would be), FAIL. Changes
 * something only with --adopt do. 0; 1: a line says FAIL; -1 with err. */
int adopt_run(struct worker *worker, struct err *err) MUST_CHECK;

#endif
