/* takeover.h: what an earlier worker, or an earlier connection of this one, may have left in the
 * target: a session with an open transaction and its locks. */
#ifndef SINK_PG_TAKEOVER_H
#define SINK_PG_TAKEOVER_H

#include "lib/frame.h"
#include "sink-pg/session.h"

/* Ends the session that holds the worker's advisory lock and takes the lock. To be called when the
 * epoch is raised: the other can't commit any more, only be in the way. Where the role may not end
 * it, it is left to itself. -1 with err when the connection is lost. */
int takeover(struct session *s, const char *pipeline, const struct hello *hello,
             struct err *err) MUST_CHECK;

#endif
