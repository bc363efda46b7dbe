/* resyncask.h: notes in ClickHouse that a table is to be copied again, for a sink that does not
 * run. Its next start does so. */
#ifndef WALPIPE_SINKCH_RESYNCASK_H
#define WALPIPE_SINKCH_RESYNCASK_H

#include "sink-ch/state.h"

/* `sink-ch --resync`, when the server is open and hello was read. The rest of the stream describes
 * the source's tables, as for --check. A table of this name with another oid was dropped, so its
 * notes are removed. If a worker still runs, the notes that it writes are ignored. EXIT_REFUSED if
 * the target has no notes yet, or if the table cannot be copied again. */
int resyncask_note(struct worker *worker, struct err *err) MUST_CHECK;

#endif
