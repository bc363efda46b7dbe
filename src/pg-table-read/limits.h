/* limits.h: the file of --limits, by which walpipe changes the number of connections and the rate
 * while the program runs. It is one line, "WORKERS RATE". */
#ifndef WALPIPE_PGTABLEREAD_LIMITS_H
#define WALPIPE_PGTABLEREAD_LIMITS_H

#include "pg-table-read/state.h"

/* Reads the file, if there is one, and logs values that differ from those of before. A file that
 * cannot be read, or that is malformed, changes nothing and is a warning in the log. */
void limits_read(struct copy *copy);

#endif
