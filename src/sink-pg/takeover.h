/* takeover.h: ends the session that an earlier worker, or an earlier connection of this one, may
 * have left in the target, with an open transaction and its locks. */
#ifndef SINK_PG_TAKEOVER_H
#define SINK_PG_TAKEOVER_H

#include "lib/frame.h"
#include "sink-pg/session.h"

/* Ends the session that holds the worker's advisory lock and takes the lock. Call it after the
 * epoch was raised, when the other session cannot commit any more but may hold locks. If the role
 * has no right to end it, it stays. Returns -1 with err if the connection is lost. */
int takeover(struct session *s, const char *pipeline, const struct hello *hello,
             struct err *err) MUST_CHECK;

#endif
