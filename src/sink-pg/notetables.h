/* notetables.h: the tables walpipe.tables and walpipe.missing of the target. An older walpipe may
 * have made them, with fewer columns. Knows nothing about their rows. */
#ifndef SINK_PG_NOTETABLES_H
#define SINK_PG_NOTETABLES_H

#include "sink-pg/session.h"

/* Sets *exist if both are there. */
int notetables_exist(struct session *s, bool *exist, struct err *err) MUST_CHECK;

/* Inside a transaction: creates them, or their newer columns, if they are missing. */
int notetables_make(struct session *s, struct err *err) MUST_CHECK;

#endif
