/* copylife.h: the life of each table that is copied (docs/copy.md). pg-table-read asks about a
 * table, begins its life, ends it, and ends its list of tables. For each of these steps a function
 * sets the state of the table's parts. copying.c, which decodes the frames, calls them. Knows
 * neither rows nor commits. */
#ifndef WALPIPE_COPYLIFE_H
#define WALPIPE_COPYLIFE_H

#include "lib/copyparts.h"

/* The reader asks about a table. The next commit answers. */
int copylife_ask(struct copying *c, const struct copytable_event *table,
                 struct err *err) MUST_CHECK;

/* Begins a life at this position of the stream. EXIT_REFUSED if the table cannot be copied. */
int copylife_begin(struct copying *c, const struct copytable_event *table, uint64_t position,
                   struct err *err) MUST_CHECK;

/* Ends a life, or ignores one that this worker does not know. Its ranges that wait are dropped. */
int copylife_end(struct copying *c, uint64_t life, enum life_end how, struct err *err) MUST_CHECK;

/* The reader's list has ended. Tables and partitions that were not in it are left out. */
int copylife_end_list(struct copying *c, struct err *err) MUST_CHECK;

#endif
