/* truncate.h: TRUNCATE, once. */
#ifndef WALPIPE_SINKCH_TRUNCATE_H
#define WALPIPE_SINKCH_TRUNCATE_H

#include "sink-ch/state.h"

/* Empties the table for the truncate event of this ordinal, unless that was done before. */
int truncate_apply(struct worker *worker, struct table *table, uint64_t ordinal,
                   struct err *err) MUST_CHECK;

#endif
