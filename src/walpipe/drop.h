/* drop.h: walpipe drop, which removes a pipeline. */
#ifndef WALPIPE_DROP_H
#define WALPIPE_DROP_H

#include "walpipe/config.h"

/* Drops the slot, and if that is gone, the progress rows of the pipeline's sinks and the
 * checkpoint. Asks on stdin first, unless yes is set. Returns the exit code of the first failure.
 * Returns 1 if the answer is not yes. */
int drop_pipeline(const struct config *config, const struct log *log, bool yes);

#endif
