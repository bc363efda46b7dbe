/* copydoubt.h: copies of tables without a key that come to nothing, because nobody knows which rows
 * the target has, or which ones the ranges still bring. The next life begins with an empty table.
 */
#ifndef WALPIPE_SINKCH_COPYDOUBT_H
#define WALPIPE_SINKCH_COPYDOUBT_H

#include "sink-ch/state.h"

/* Brings the part's life to nothing. why is for the log. */
void copydoubt_spoil(struct worker *worker, struct copypart *part, const char *why);

/* The answer to an insert of the table was lost. */
void copydoubt_lost(struct worker *worker, const struct table *table);

#endif
