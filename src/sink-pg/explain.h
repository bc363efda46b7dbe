/* explain.h: what the target's refusal of a change means, in words for the person who has to mend
 * it. Goes by SQLSTATE, names and numbers, never by words, which depend on the target's language.
 */
#ifndef SINK_PG_EXPLAIN_H
#define SINK_PG_EXPLAIN_H

#include "sink-pg/pipe.h"
#include "sink-pg/statements.h"

/* err has what the server said; the column's name goes in front of it, and what to do into its
 * hint. */
void explain_refusal(const struct op *op, const struct change *change,
                     const struct pipe_failure *failure, struct err *err);

#endif
