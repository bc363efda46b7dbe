/* match.h: decides how a row of the target is found. */
#ifndef SINK_PG_MATCH_H
#define SINK_PG_MATCH_H

#include "sink-pg/plan.h"

/* Fills the plan's keys, match, index, overwrites and coarse_key. Its columns must be there. */
int match_choose(struct plan *plan, const struct plan_input *input, struct err *err) MUST_CHECK;

#endif
