/* ddl.h: the source's DDL is not replicated. Some of it changes the values that rows already in
 * ClickHouse should have. Each such change is named in the log, and counted by ackd. */
#ifndef WALPIPE_SINKCH_DDL_H
#define WALPIPE_SINKCH_DDL_H

#include "sink-ch/state.h"

/* A table came with an unknown relid (old is NULL), or under another name than before. Call it
 * before the table is among the worker's. */
int ddl_look_at_name(struct worker *worker, const struct table *table, const struct table *old,
                     struct err *err) MUST_CHECK;

/* Its columns, once it is loaded. Notes their names in table->seen. */
int ddl_look_at_columns(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

#endif
