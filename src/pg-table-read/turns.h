/* turns.h: takes each life as far as it goes without waiting: asks the workers what they have,
 * tells them of a life, waits for transactions, ends it. */
#ifndef WALPIPE_PGTABLEREAD_TURNS_H
#define WALPIPE_PGTABLEREAD_TURNS_H

#include "pg-table-read/state.h"

int turns_take(struct copy *copy, uint64_t now, struct err *err) MUST_CHECK;

/* The workers have answered life 0. */
void turns_answered(struct copy *copy);

#endif
