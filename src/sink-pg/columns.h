/* columns.h: pairs the source's columns with the target's, and checks that the types fit. */
#ifndef SINK_PG_COLUMNS_H
#define SINK_PG_COLUMNS_H

#include "sink-pg/plan.h"

/* Fills the plan's columns, extras, copy and odd_types. Returns -1 with err. EXIT_REFUSED is for a
 * column that is missing in the target, or whose type would silently lose a part of a value. */
int columns_read(struct plan *plan, const struct plan_input *input, struct err *err) MUST_CHECK;

#endif
