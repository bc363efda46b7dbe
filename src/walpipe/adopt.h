/* adopt.h: walpipe adopt, which marks ClickHouse tables that hold rows of another history, so that
 * the source's rows replace the old ones. */
#ifndef WALPIPE_ADOPT_H
#define WALPIPE_ADOPT_H

#include "walpipe/config.h"

/* Shows the tables that the ClickHouse sinks, or the one of this name, would adopt. Asks on stdin
 * unless yes is set, and has their programs adopt them. sink is NULL for all. Returns the exit
 * code. */
int adopt_histories(const struct config *config, const struct log *log, const char *sink, bool yes);

#endif
