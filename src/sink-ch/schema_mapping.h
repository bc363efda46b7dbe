/* schema_mapping.h: the pairs of PostgreSQL and ClickHouse types, column by column. */
#ifndef WALPIPE_SINKCH_SCHEMA_MAPPING_H
#define WALPIPE_SINKCH_SCHEMA_MAPPING_H

#include "sink-ch/report.h"
#include "sink-ch/table.h"

/* Reports the columns whose type can't hold every value of the source's type. */
void schema_judge(const struct server *server, const struct options *options,
                  const struct table *table, struct report *report);

/* Appends "id int4 -> Int32, ..." to out, for each column that is or would be written. A table that
 * is not loaded is shown with the types that it would be created with. */
void schema_put_mapping(const struct server *server, const struct table *table, struct buf *out);

#endif
