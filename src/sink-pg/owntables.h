/* owntables.h: whether walpipe's own schema and tables are in the target. A target that never had a
 * copy, or that an older walpipe wrote, lacks some of them. */
#ifndef SINK_PG_OWNTABLES_H
#define SINK_PG_OWNTABLES_H

#include "sink-pg/session.h"

int owntables_have_schema(struct session *s, bool *exists, struct err *err) MUST_CHECK;

/* Sets *exist if all tables of the schema walpipe with these names, separated by commas, are there.
 */
int owntables_exist(struct session *s, const char *names, bool *exist, struct err *err) MUST_CHECK;

/* The same for a column of such a table. */
int owntables_has_column(struct session *s, const char *table, const char *column, bool *exists,
                         struct err *err) MUST_CHECK;

#endif
