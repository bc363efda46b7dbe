/* making.h: --schema, which prints the statements that create the tables on stdin, or runs them. */
#ifndef WALPIPE_SINKCH_MAKING_H
#define WALPIPE_SINKCH_MAKING_H

#include "sink-ch/state.h"

/* Reads relation events up to end. Returns 0, 1 if a table cannot be created or does not fit, with
 * the reason on stdout, or -1 with err. */
int making_run(struct worker *worker, struct err *err) MUST_CHECK;

#endif
