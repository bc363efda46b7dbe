/* neighbours.h: other databases that are affected by the target's changes. These are the source
 * itself, if it is the same database, and all that replicate from the target. */
#ifndef SINK_PG_NEIGHBOURS_H
#define SINK_PG_NEIGHBOURS_H

#include "lib/event.h"
#include "lib/tablemap.h"
#include "lib/verdict.h"
#include "sink-pg/session.h"

/* The target is the source itself. Refuses (EXIT_REFUSED) a table whose writes come back as its own
 * changes, because it is mapped to itself, or by way of other tables of the map. */
int neighbours_refuse_loop(const struct tablemap *mapping, const struct relation *relation,
                           struct err *err) MUST_CHECK;

/* The same if the names differ, but the rows of the target, or of a table that the map leads on to,
 * are the source table's. Then one is a partition of the other, or a view or rule that applies
 * leads to it. The effects of triggers are not known. */
int neighbours_refuse_way_back(struct session *s, const struct tablemap *mapping,
                               const struct relation *relation, const char *const target[2],
                               struct err *err) MUST_CHECK;

/* For --check. Reports the publications of the target that also publish walpipe's own tables. */
void neighbours_check(struct session *s, struct verdicts *verdicts);

#endif
