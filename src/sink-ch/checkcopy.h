/* checkcopy.h: the lines of `walpipe check` about the target of a table that is to be copied. */
#ifndef WALPIPE_SINKCH_CHECKCOPY_H
#define WALPIPE_SINKCH_CHECKCOPY_H

#include "sink-ch/state.h"

/* Of a target that exists. Returns -1 with err, with run's error if run would refuse the rows that
 * are there. Changes nothing. */
int checkcopy_look(struct worker *worker, const struct table *table, struct err *err) MUST_CHECK;

#endif
