/* drop.h: walpipe drop: the way out. */
#ifndef WALPIPE_DROP_H
#define WALPIPE_DROP_H

#include "walpipe/config.h"

/* Drops the slot, the progress rows of the pipeline's sinks and, if the slot is gone, the
 * checkpoint, after asking on stdin unless yes. Goes on after a failure and returns the first one's
 * exit code; 1 if the answer is not yes. */
int drop_pipeline(const struct config *config, const struct log *log, bool yes);

#endif
