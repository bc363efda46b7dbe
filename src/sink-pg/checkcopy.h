/* checkcopy.h: whether a copy may begin in a table of the target, for sink-pg --check. */
#ifndef SINK_PG_CHECKCOPY_H
#define SINK_PG_CHECKCOPY_H

#include "lib/event.h"
#include "lib/verdict.h"
#include "sink-pg/plan.h"
#include "sink-pg/session.h"

/* Says nothing where a copy may begin, or where none will: the target has notes about the table, or
 * it got rows before there were notes. Otherwise the table must be empty. Until the copy has ended,
 * an insert of a table with a key must be able to take another row's place. */
void checkcopy_table(struct session *session, const char *pipeline, const char *sink,
                     const struct relation *relation, const struct plan *plan, const char *schema,
                     const char *name, struct verdicts *verdicts);

#endif
