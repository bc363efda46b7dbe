/* match.h: decides how a row of the target is found. */
#ifndef SINK_PG_MATCH_H
#define SINK_PG_MATCH_H

#include "sink-pg/plan.h"

/* Fills the plan's keys, match, index, overwrites and coarse_key. Its columns must be there. */
int match_choose(struct plan *plan, const struct plan_input *input, struct err *err) MUST_CHECK;

/* For a copy of a table with a key. A change may have inserted a row of a range before.
 * EXIT_REFUSED if the copied row could not replace that one. label is the target's name. */
int match_require_overwrites(const struct plan *plan, const char *label,
                             struct err *err) MUST_CHECK;

#endif
