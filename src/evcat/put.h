/* put.h: the parts of which the lines of more than one kind of frame are made. */
#ifndef WALPIPE_EVCAT_PUT_H
#define WALPIPE_EVCAT_PUT_H

#include "lib/event.h"
#include "lib/json.h"
#include "lib/relmap.h"

/* A line: an object whose first member is the frame's name. */
void put_begin(FILE *out, struct json *j, const char *type);
void put_end(struct json *j);

/* All members of a relation. */
void put_relation(struct json *j, const struct relation *relation);

/* The table's name, or its oid when tables, relid to struct relation, does not have it. */
void put_table(struct json *j, const char *name, const struct relmap *tables, uint32_t relid);

/* A row by the relation's column names; by position when the relation, which may be NULL, is not
 * the row's. only_key: without the columns that are not of the key. */
void put_tuple(struct json *j, const char *name, const struct relation *relation,
               const struct tuple *tuple, bool only_key);

#endif
