/* limits.h: the file of --limits, by which walpipe changes the number of connections and the rate
 * while the program runs. It is one line, "WORKERS RATE". */
#ifndef WALPIPE_PGTABLEREAD_LIMITS_H
#define WALPIPE_PGTABLEREAD_LIMITS_H

#include "pg-table-read/state.h"

/* Reads the file, if there is one, and logs values that have changed. If the file cannot be read or
 * is malformed, it changes nothing and logs a warning. */
void limits_read(struct copy *copy);

#endif
