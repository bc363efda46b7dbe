/* ownrows.h: how SQL names the rows that are a target table's own. */
#ifndef SINK_PG_OWNROWS_H
#define SINK_PG_OWNROWS_H

#include "lib/buf.h"
#include "sink-pg/session.h"

/* Appends it to rows. An ordinary table's are not those of tables that inherit from it; a
 * partitioned table's are those of its partitions. */
int ownrows_name(struct session *s, const char *schema, const char *name, struct buf *rows,
                 struct err *err) MUST_CHECK;

#endif
