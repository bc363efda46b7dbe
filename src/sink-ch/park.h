/* park.h: tables that are set aside after an error of their data or their definition, so that the
 * others go on (docs/copy.md, "Tables that are set aside").
 *
 *     walpipe_parked  for each of them: since when, the change and the reason
 *
 * A table is parked while its row has the state "parked". Its notes then say that it is in a
 * resync, and its changes are passed over. No life begins before the state is "resumed". */
#ifndef WALPIPE_SINKCH_PARK_H
#define WALPIPE_SINKCH_PARK_H

#include "sink-ch/noterows.h"
#include "sink-ch/state.h"

/* Before the notes are loaded. Makes the table if errors park, and tells the notes which tables are
 * parked. EXIT_REFUSED if one is and the sink takes no copies. */
int park_load(struct worker *w, struct err *err) MUST_CHECK;

/* Behind that. Worker 0 logs which tables are parked. */
int park_begin(struct worker *w, struct err *err) MUST_CHECK;

/* Before the notes are written: which tables are not parked any more, or are again. */
int park_write(struct worker *w, struct err *err) MUST_CHECK;

/* err ends the run. If one table is its reason, notes that the table is parked, and err says that
 * the run begins again. Always -1. */
int park_table(struct worker *w, struct err *err);

/* `sink-ch --resync` and --attach: the table's resync is asked for. */
int park_resume(const struct notetable *t, uint32_t relid, struct err *err) MUST_CHECK;

/* For --tables: appends the lines of parked tables. */
int park_list(const struct notetable *t, struct buf *lines, struct err *err) MUST_CHECK;

#endif
