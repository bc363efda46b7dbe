/* wholes.h: the tables that must go to one worker as a whole. If their rows were split over several
 * workers, changes that belong together would lose their order. These are
 *
 * - partitions of the target, and their root, because a row that moves is a delete and an insert;
 * - several source tables in one target table;
 * - a unique or exclusion constraint by which rows of several workers can meet;
 * - a key column whose equal values in the target may have different texts in the source;
 * - triggers and rules that fire, whatever they do;
 * - a foreign table, because the actions of its server are not known;
 * - all tables together, if foreign keys are enforced, or if a row goes to a view. Its base table
 *   may have any of these, and may be the base of another target. */
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

/* Prints the input of route's --layout, from the catalog, the map, and the workers' notes. */
int wholes_print(const struct wholes *w, struct session *s, const struct tablemap *map, FILE *out,
                 struct err *err) MUST_CHECK;

/* Call it before the first row of the table is applied. Returns -1 with err (EXIT_PEER) if the
 * table is split, or apart from the tables that it meets, and must not be. Then that is noted in
 * walpipe.whole, a restart routes it whole, and *unplaced is set. An open transaction is rolled
 * back for it. */
int wholes_check(const struct wholes *w, struct session *s, const struct table *table,
                 bool *unplaced, struct err *err) MUST_CHECK;

/* For --check. Writes the reason why the table cannot be split over the workers of the layout into
 * out, or an empty text if it can. */
int wholes_reason(const struct layout *layout, struct session *s, const struct relation *relation,
                  const char *const target[2], char out[400], struct err *err) MUST_CHECK;

#endif
