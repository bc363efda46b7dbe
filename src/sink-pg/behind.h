/* behind.h: tables that are copied again and whose target is behind. The target of such a table has
 * rows that the source does not have, and a change violates a unique or an exclusion constraint
 * because of them. So the changes go to the staged rows alone until the resync ends, which removes
 * those rows (docs/copy.md, "Copying again"). */
#ifndef SINK_PG_BEHIND_H
#define SINK_PG_BEHIND_H

#include "lib/copying.h"
#include "sink-pg/session.h"

/* A change of the table, or of any table if relid is 0, was refused because of such rows, and err
 * has the error. If the table is copied again, records in its notes that it is behind, and changes
 * err to ask for a restart (EXIT_PEER), at which all workers find the note. Always -1. */
int behind_note(const char *pipeline, struct session *s, const struct copying *c, uint32_t relid,
                struct err *err);

/* EXIT_REFUSED for a part whose note says that it is behind, but not that it is copied again. */
int behind_require_resync(const struct copypart *part, struct err *err) MUST_CHECK;

#endif
