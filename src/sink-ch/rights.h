/* rights.h: whether ClickHouse's user has the rights that the sink needs, for --check. Tries
 * nothing. */
#ifndef WALPIPE_SINKCH_RIGHTS_H
#define WALPIPE_SINKCH_RIGHTS_H

#include "sink-ch/report.h"
#include "sink-ch/table.h"

/* The rights that --create-tables needs for the table, and those for the note of a truncate. exists
 * is true if the table is there. A server that cannot answer (before 24.12) is assumed to allow
 * it. */
void rights_check_ddl(struct server *server, const struct options *options,
                      const struct table *table, bool exists, struct report *report);

/* Whether the user's profile allows CREATE and ALTER at all. */
bool rights_allow_ddl(struct server *server);

#endif
