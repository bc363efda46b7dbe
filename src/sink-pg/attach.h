/* attach.h: a detached sink comes back. Its target lacks changes that the source has removed, so
 * all its tables are copied again, and the sink begins anew, at any position of the slot. */
#ifndef SINK_PG_ATTACH_H
#define SINK_PG_ATTACH_H

#include "lib/tablemap.h"
#include "sink-pg/session.h"

struct attach {
    const char *pipeline;
    const char *sink;
    const struct tablemap *map;
};

/* `sink-pg --attach`, on a session that is open. in has the event stream that describes the
 * source's tables, as for --check. All notes and the progress change in one transaction. A table
 * that cannot be copied again, since it has no key, must be empty. Tables that are not in the
 * stream are out. If a worker still runs, it cannot commit afterwards. EXIT_REFUSED if a table
 * cannot be copied. */
int attach_note(struct session *s, const struct attach *attach, int in, struct err *err) MUST_CHECK;

#endif
