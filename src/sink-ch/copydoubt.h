/* copydoubt.h: ends copies of tables without a key that have failed, because it is not known which
 * rows the target has, or which rows the ranges still contain. The next life begins with an empty
 * table. */
#ifndef WALPIPE_SINKCH_COPYDOUBT_H
#define WALPIPE_SINKCH_COPYDOUBT_H

#include "sink-ch/state.h"

/* Lets the part's life fail. why is for the log. */
void copydoubt_spoil(struct worker *worker, struct copypart *part, const char *why);

/* Call it when the answer to an insert into the table was lost. */
void copydoubt_lost(struct worker *worker, const struct table *table);

#endif
