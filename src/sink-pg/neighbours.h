/* neighbours.h: who else has to do with the target's changes: the source itself, when it is the
 * same database, and whoever replicates from the target. */
#ifndef SINK_PG_NEIGHBOURS_H
#define SINK_PG_NEIGHBOURS_H

#include "lib/event.h"
#include "lib/tablemap.h"
#include "lib/verdict.h"
#include "sink-pg/session.h"

/* Refuses (EXIT_REFUSED) a table of a target that is the source itself when what is written to it
 * comes back as a change of it: mapped to itself, or by way of other tables of the map. */
int neighbours_refuse_loop(const struct tablemap *mapping, const struct relation *relation,
                           struct err *err) MUST_CHECK;

/* --check: which publications of the target also publish walpipe's own tables. */
void neighbours_check(struct session *s, struct verdicts *verdicts);

#endif
