/* check.h: --check: can this ClickHouse take these tables? Writes no row. */
#ifndef WALPIPE_SINKCH_CHECK_H
#define WALPIPE_SINKCH_CHECK_H

#include "sink-ch/state.h"

/* Reads relation events up to end and prints one line a finding to stdout. 0: nothing failed; 1:
 * something did; -1 with err: the stream is broken. */
int check_run(struct worker *worker, struct err *err) MUST_CHECK;

#endif
