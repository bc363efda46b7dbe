/* rights.h: whether ClickHouse's user may do what the sink will do, for --check. Tries nothing. */
#ifndef WALPIPE_SINKCH_RIGHTS_H
#define WALPIPE_SINKCH_RIGHTS_H

#include "sink-ch/report.h"
#include "sink-ch/table.h"

/* What --create-tables needs for the table, and the note of a truncate. exists: the table is there.
 * A server that cannot say it (before 24.12) is taken to allow it. */
void rights_check_ddl(struct server *server, const struct options *options,
                      const struct table *table, bool exists, struct report *report);

/* Whether the user's profile allows CREATE and ALTER at all. */
bool rights_allow_ddl(struct server *server);

#endif
