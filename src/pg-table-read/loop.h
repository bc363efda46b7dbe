/* loop.h: waits for the connections and the output, and writes the frames that copy.c makes. */
#ifndef WALPIPE_PGTABLEREAD_LOOP_H
#define WALPIPE_PGTABLEREAD_LOOP_H

#include "lib/log.h"
#include "pg-table-read/options.h"

/* Runs to the end. Returns the exit code. A failure is logged. */
int loop_run(const struct log *log, const struct options *options);

#endif
