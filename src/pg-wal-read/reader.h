/* reader.h: the whole of a run: output, ackd, source, slot, and then the stream. Waits for a slot
 * that is in use, and makes one that is missing where it may. */
#ifndef WALPIPE_READER_H
#define WALPIPE_READER_H

#include "pg-wal-read/options.h"

/* Runs until the stream has ended. The program's exit code; a failure has been logged. */
int reader_run(struct log *log, const struct options *options);

#endif
