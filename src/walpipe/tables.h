/* tables.h: walpipe tables, which shows the progress of each table in each sink. It uses the notes
 * in the targets and the source's catalog, so the pipeline need not run. */
#ifndef WALPIPE_TABLES_H
#define WALPIPE_TABLES_H

#include "walpipe/config.h"

/* Reads all of them, and a second time, a second later, where a table is being copied. Returns the
 * exit code: that of the first sink whose target could not be read. */
int tables_show(const struct config *config, const struct log *log, bool json);

#endif
