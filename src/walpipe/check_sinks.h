/* check_sinks.h: what walpipe check says of the sinks: their lists of tables, and what their
 * programs find in the targets. */
#ifndef WALPIPE_CHECK_SINKS_H
#define WALPIPE_CHECK_SINKS_H

#include "walpipe/catalog.h"
#include "walpipe/checking.h"

/* known: catalog is the source's; otherwise the targets are tried alone. */
void check_sinks(struct checking *checking, const struct catalog *catalog, bool known);

#endif
