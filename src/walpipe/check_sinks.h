/* check_sinks.h: walpipe check for the sinks. It checks their lists of tables, and has their
 * programs check the targets. */
#ifndef WALPIPE_CHECK_SINKS_H
#define WALPIPE_CHECK_SINKS_H

#include "walpipe/catalog.h"
#include "walpipe/checking.h"

/* If known, catalog is the source's. Otherwise the targets are checked alone. */
void check_sinks(struct checking *checking, const struct catalog *catalog, bool known);

/* Has one sink's program check its target, whose tables catalog has. */
void check_sinks_one(struct checking *checking, const struct catalog *catalog,
                     const struct sink_config *sink);

#endif
