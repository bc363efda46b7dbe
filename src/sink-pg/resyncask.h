/* resyncask.h: notes in the target of a sink that does not run that a table is to be copied again.
 * Its next start does so. */
#ifndef SINK_PG_RESYNCASK_H
#define SINK_PG_RESYNCASK_H

#include "lib/names.h"
#include "sink-pg/session.h"

struct resyncask {
    const char *pipeline;
    const char *sink;
    const struct tablemap *map;
    struct table_name table; /* of the source */
};

/* `sink-pg --resync`, on a session that is open. in has the event stream that describes the
 * source's tables, as for --check. A table of this name with another oid was dropped: its notes go.
 * If a worker still runs, it cannot commit afterwards. EXIT_REFUSED if the target has no notes yet,
 * or if the table cannot be copied again. */
int resyncask_note(struct session *s, const struct resyncask *ask, int in,
                   struct err *err) MUST_CHECK;

#endif
