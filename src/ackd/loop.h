/* loop.h: the main loop of ackd. It serves the connections and calls everything else. */
#ifndef WALPIPE_ACKD_LOOP_H
#define WALPIPE_ACKD_LOOP_H

#include "ackd/ackd.h"

struct http;

/* Serves until the run is over (0) or failed (-1 with err). http may be NULL. */
int loop_run(struct ackd *ackd, struct http *http, struct err *err) MUST_CHECK;

#endif
