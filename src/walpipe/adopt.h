/* adopt.h: walpipe adopt: ClickHouse tables that hold rows of another history take the source's. */
#ifndef WALPIPE_ADOPT_H
#define WALPIPE_ADOPT_H

#include "walpipe/config.h"

/* Shows what the ClickHouse sinks, or the one of this name, would adopt, asks on stdin unless yes,
 * and has their programs do it. sink: NULL for all. Returns the exit code. */
int adopt_histories(const struct config *config, const struct log *log, const char *sink, bool yes);

#endif
