/* reader.h: a whole run, with output, ackd, source, slot, and then the stream. Waits for a slot
 * that is in use, and creates a missing one if that is allowed. */
#ifndef WALPIPE_READER_H
#define WALPIPE_READER_H

#include "pg-wal-read/options.h"

/* Runs until the stream has ended. Returns the program's exit code. A failure has been logged. */
int reader_run(struct log *log, const struct options *options);

#endif
