/* turns.h: takes each life as far as possible without waiting. It asks the workers for their notes,
 * tells them of a life, waits for transactions, and ends the life. */
#ifndef WALPIPE_PGTABLEREAD_TURNS_H
#define WALPIPE_PGTABLEREAD_TURNS_H

#include "pg-table-read/state.h"

/* *copied: nothing is left to do, with --until-copied. */
int turns_take(struct copy *copy, uint64_t now, bool *copied, struct err *err) MUST_CHECK;

/* The workers have answered life 0. */
void turns_answered(struct copy *copy);

#endif
