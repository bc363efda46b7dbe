/* explain.h: explains the target's refusal of a change to the person who has to correct the cause.
 * It uses SQLSTATE, names and numbers, never words, which depend on the target's language. */
#ifndef SINK_PG_EXPLAIN_H
#define SINK_PG_EXPLAIN_H

#include "sink-pg/pipe.h"
#include "sink-pg/statements.h"

/* err has the server's message. Puts the column's name in front of it, and the remedy into its
 * hint. copies: the sink takes copies. */
void explain_refusal(const struct op *op, const struct change *change,
                     const struct pipe_failure *failure, bool copies, struct err *err);

#endif
