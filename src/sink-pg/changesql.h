/* changesql.h: the text of the statement that applies one change, with parameters. statements.h
 * describes the promises of the statements. */
#ifndef SINK_PG_CHANGESQL_H
#define SINK_PG_CHANGESQL_H

#include "sink-pg/plan.h"

/* Appends the text for changes of stmt's shape, and fills stmt->params, which has room for two for
 * each column. Memory errors stick to sql. */
void changesql_write(struct buf *sql, const struct plan *plan, struct plan_stmt *stmt);

#endif
