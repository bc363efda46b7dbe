/* schema_create.h: --create-tables, which creates the ClickHouse table for a source table, and
 * columns that the source added later. */
#ifndef WALPIPE_SINKCH_SCHEMA_CREATE_H
#define WALPIPE_SINKCH_SCHEMA_CREATE_H

#include "sink-ch/table.h"

/* Creates the table. Returns -1 with err, also for a table whose key the stream does not have. */
int schema_create(struct server *server, const struct options *options, const struct table *table,
                  struct err *err) MUST_CHECK;

/* Appends the engine and the ORDER BY that it gets. */
void schema_put_engine(const struct server *server, const struct options *options,
                       const struct table *table, struct buf *sql);

/* Adds the columns of the relation that are not among existing[], and notes in table->past the
 * values of older rows there. */
int schema_add_columns(struct server *server, const struct options *options, struct table *table,
                       const char *const *existing, size_t existing_count,
                       struct err *err) MUST_CHECK;

/* Returns false, with the reason, for a table that schema_create refuses. */
bool schema_can_create(const struct options *options, const struct table *table,
                       const char **reason);

#endif
