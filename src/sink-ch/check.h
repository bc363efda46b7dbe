/* check.h: --check, which finds out whether this ClickHouse can take these tables. Writes no
 * row. */
#ifndef WALPIPE_SINKCH_CHECK_H
#define WALPIPE_SINKCH_CHECK_H

#include "sink-ch/state.h"

/* Reads relation events up to end and prints one line per finding to stdout. Returns 0 if nothing
 * failed, 1 if something did, or -1 with err if the stream is broken. */
int check_run(struct worker *worker, struct err *err) MUST_CHECK;

#endif
