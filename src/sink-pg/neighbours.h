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

/* The same where the names differ, but the target's rows, or those of a table that the map leads on
 * to, are the source table's: one is a partition of the other, a view or rule that applies leads to
 * it. What triggers do is not known. */
int neighbours_refuse_way_back(struct session *s, const struct tablemap *mapping,
                               const struct relation *relation, const char *const target[2],
                               struct err *err) MUST_CHECK;

/* --check: which publications of the target also publish walpipe's own tables. */
void neighbours_check(struct session *s, struct verdicts *verdicts);

#endif
