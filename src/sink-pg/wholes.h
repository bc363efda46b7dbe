/* wholes.h: which tables must go to one worker as a whole, because their rows cannot be split over
 * several without losing the order of changes that belong together:
 *
 * - partitions of the target, and their root: a row that moves is a delete and an insert;
 * - several source tables in one target table;
 * - a unique or exclusion constraint by which rows of several workers can meet;
 * - a key column whose equal values in the target may have different texts in the source;
 * - triggers and rules that fire, whatever they do;
 * - a foreign table: what its server does is not known;
 * - all tables together, where foreign keys are enforced, and where a row goes to a view: its base
 *   table may have any of these, and may be the base of another target. */
#ifndef SINK_PG_WHOLES_H
#define SINK_PG_WHOLES_H

#include <stdio.h>

#include "lib/layout.h"
#include "sink-pg/session.h"
#include "sink-pg/tables.h"

struct wholes {
    const char *pipeline;
    const char *sink;
    const struct layout *layout; /* of the stream */
};

/* Prints what route's --layout reads: what the catalog and the map say, and what workers have
 * noted. */
int wholes_print(const struct wholes *w, struct session *s, const struct tablemap *map, FILE *out,
                 struct err *err) MUST_CHECK;

/* Before the first row of the table is applied: -1 with err (EXIT_PEER) when it is split, or apart
 * from the tables that it meets, and must not be. That is noted in walpipe.whole, and a restart
 * routes it whole; *unplaced is set then. An open transaction is rolled back for it. */
int wholes_check(const struct wholes *w, struct session *s, const struct table *table,
                 bool *unplaced, struct err *err) MUST_CHECK;

/* For --check: why the table cannot be split over the workers of the layout, into out; empty when
 * it can. */
int wholes_reason(const struct layout *layout, struct session *s, const struct relation *relation,
                  const char *const target[2], char out[400], struct err *err) MUST_CHECK;

#endif
