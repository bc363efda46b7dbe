/* status.h: walpipe status, which shows the state that the running pipeline's ackd reports, for a
 * person or as JSON. */
#ifndef WALPIPE_STATUS_H
#define WALPIPE_STATUS_H

#include "walpipe/config.h"

/* Asks twice, a second apart, so that rates can be shown. Returns the exit code, which is EXIT_PEER
 * if the pipeline does not run. */
int status_show(const struct config *config, const struct log *log, bool json);

#endif
