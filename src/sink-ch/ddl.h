/* ddl.h: the source's DDL is not replicated. Some of it changes what the rows that ClickHouse has
 * already would have to be: each such change is named in the log, and counted by ackd. */
#ifndef WALPIPE_SINKCH_DDL_H
#define WALPIPE_SINKCH_DDL_H

#include "sink-ch/state.h"

/* A table came whose relid was not known, or under another name than before (NULL: it is new). Call
 * it before the table is among the worker's. */
int ddl_look_at_name(struct worker *worker, const struct table *table, const struct table *old,
                     struct err *err) MUST_CHECK;

/* Its columns, once it is loaded. Notes their names in table->seen. */
int ddl_look_at_columns(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

#endif
