/* ownrows.h: how SQL names the rows that are a target table's own. */
#ifndef SINK_PG_OWNROWS_H
#define SINK_PG_OWNROWS_H

#include "lib/buf.h"
#include "sink-pg/session.h"

/* Appends it to rows. The rows of tables that inherit from an ordinary table are not its own. The
 * rows of partitions are those of the partitioned table. */
int ownrows_name(struct session *s, const char *schema, const char *name, struct buf *rows,
                 struct err *err) MUST_CHECK;

#endif
