/* readback.h: values that were not sent, from ClickHouse. */
#ifndef WALPIPE_SINKCH_READBACK_H
#define WALPIPE_SINKCH_READBACK_H

#include "sink-ch/state.h"

/* Fills the holes of a table's rows. Rows that ClickHouse already has in a newer version leave the
 * batch. */
int readback_fill(struct worker *worker, const struct table *table, struct err *err) MUST_CHECK;

#endif
