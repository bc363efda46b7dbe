/* drop.h: walpipe drop, which removes a pipeline. */
#ifndef WALPIPE_DROP_H
#define WALPIPE_DROP_H

#include "walpipe/config.h"

/* Drops the slot, the progress rows of the pipeline's sinks and, if the slot is gone, the
 * checkpoint. Asks on stdin first, unless yes is set. Continues after a failure and returns the
 * first one's exit code. Returns 1 if the answer is not yes. */
int drop_pipeline(const struct config *config, const struct log *log, bool yes);

#endif
