/* epoch.h: how the epoch of a row of walpipe.progress grows, see progress.h. */
#ifndef SINK_PG_EPOCH_H
#define SINK_PG_EPOCH_H

/* Added to the epoch by a commit, and by whoever takes the row. An older walpipe adds 1. So after
 * a commit whose answer was lost, nobody else's change looks like that commit. */
#define EPOCH_COMMITTED 2
#define EPOCH_TAKEN     "4294967296"

#endif
