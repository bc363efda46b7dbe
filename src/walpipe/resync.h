/* resync.h: walpipe resync, which lets the pipeline copy one table again. If the pipeline does not
 * run, it records the request in the targets for the next start. */
#ifndef WALPIPE_RESYNC_H
#define WALPIPE_RESYNC_H

#include "walpipe/config.h"

/* The table is "schema.table" of the source. sink is NULL for all that have it. With wait it
 * returns when the table is streaming again, otherwise when the request is noted. Returns the exit
 * code. */
int resync_table(const struct config *config, const struct log *log, const char *sink,
                 const char *table, bool wait);

#endif
