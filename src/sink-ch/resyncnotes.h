/* resyncnotes.h: the notes of all workers of a table that is copied again. Decides nothing. */
#ifndef WALPIPE_SINKCH_RESYNCNOTES_H
#define WALPIPE_SINKCH_RESYNCNOTES_H

#include "sink-ch/copynotes.h"

/* Sets *since to the lowest position at which the resync has begun in a worker, for a part. 0: some
 * worker has no such note. */
int resyncnotes_since(struct copynotes *n, uint32_t relid, uint64_t *since,
                      struct err *err) MUST_CHECK;

/* All workers' notes say that the table is streaming. Later ones of a worker count only if it looks
 * before: resyncnotes_are_done does. */
int resyncnotes_end(struct copynotes *n, uint32_t relid, struct err *err) MUST_CHECK;

/* Whether those of this worker do. */
int resyncnotes_are_done(struct copynotes *n, uint32_t relid, bool *done,
                         struct err *err) MUST_CHECK;

/* All workers' notes say that the resync has not begun. Later ones of workers that have not looked
 * do not count. */
int resyncnotes_restart(struct copynotes *n, uint32_t relid, struct err *err) MUST_CHECK;

/* The table is to be copied again, as its next start finds. part has its names now, and relid;
 * notes of another table of that name go. Where it has none it gets one. */
int resyncnotes_ask(struct copynotes *n, const struct copypart *part, struct err *err) MUST_CHECK;

#endif
