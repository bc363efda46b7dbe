/* checkcopy.h: whether a copy may begin in a table of the target, for sink-pg --check. */
#ifndef SINK_PG_CHECKCOPY_H
#define SINK_PG_CHECKCOPY_H

#include "lib/event.h"
#include "lib/verdict.h"
#include "sink-pg/plan.h"
#include "sink-pg/session.h"

/* Reports nothing if a copy may begin, or if none will begin because the target has notes about the
 * table, or has rows from before there were notes. Otherwise the table must be empty. In a table
 * with a key, an insert must be able to replace an existing row until the copy has ended. */
void checkcopy_table(struct session *session, const char *pipeline, const char *sink,
                     const struct relation *relation, const struct plan *plan, const char *schema,
                     const char *name, struct verdicts *verdicts);

#endif
