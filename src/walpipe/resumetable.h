/* resumetable.h: walpipe resume --table, which brings back a table that a sink has parked. */
#ifndef WALPIPE_RESUMETABLE_H
#define WALPIPE_RESUMETABLE_H

#include "walpipe/config.h"

/* The table is "schema.table" of the source. sink is NULL for all in which it is parked. The rest
 * is as for resync_table, which does it. Returns the exit code. */
int resumetable_run(const struct config *config, const struct log *log, const char *sink,
                    const char *table, bool wait);

#endif
