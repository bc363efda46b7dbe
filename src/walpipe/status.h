/* status.h: walpipe status, which shows the state that the running pipeline's ackd reports, for a
 * person or as JSON. */
#ifndef WALPIPE_STATUS_H
#define WALPIPE_STATUS_H

#include "lib/ackmsg.h"
#include "walpipe/config.h"

/* Asks twice, a second apart, so that rates can be shown. Returns the exit code, which is EXIT_PEER
 * if the pipeline does not run. */
int status_show(const struct config *config, const struct log *log, bool json);

/* Asks the running ackd once. Between two starts of the pipeline it does not wait for the next one,
 * since its callers try again, and must notice when walpipe run has ended. */
int status_ask(const struct config *config, struct ack_status *status, struct err *err) MUST_CHECK;

#endif
