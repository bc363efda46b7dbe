/* behind.h: tables that are copied again and whose target is behind. Rows of such a target that the
 * source does not have are in the way of its changes, by a unique or an exclusion constraint. So
 * the changes go to the staged rows alone until the resync ends, which removes those rows
 * (docs/copy.md, "Copying again"). */
#ifndef SINK_PG_BEHIND_H
#define SINK_PG_BEHIND_H

#include "lib/copying.h"
#include "sink-pg/session.h"

/* A change of the table, or of any table if relid is 0, was refused for such rows, which is in err.
 * If the table is copied again this is noted, and err asks for a restart (EXIT_PEER), whose workers
 * all find the note. Always -1. */
int behind_note(const char *pipeline, struct session *s, const struct copying *c, uint32_t relid,
                struct err *err);

/* EXIT_REFUSED for a part whose note says that it is behind, but not that it is copied again. */
int behind_require_resync(const struct copypart *part, struct err *err) MUST_CHECK;

#endif
