/* schema_type.h: the type with which a column is created. */
#ifndef WALPIPE_SINKCH_SCHEMA_TYPE_H
#define WALPIPE_SINKCH_SCHEMA_TYPE_H

#include "sink-ch/table.h"

/* Appends the type that the column with this number in the relation is created with. */
void schema_put_type(const struct server *server, const struct table *table, uint32_t number,
                     bool key, struct buf *sql);

/* Whether the config decides that type. */
bool schema_type_is_chosen(const struct server *server, const struct table *table, uint32_t number,
                           bool key);

/* The oid that decides a column's conversion. For a domain it is the base type's. */
uint32_t schema_oid(const struct relation_column *column);

#endif
