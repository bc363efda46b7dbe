/* put.h: parts of lines that several kinds of frames share. */
#ifndef WALPIPE_EVCAT_PUT_H
#define WALPIPE_EVCAT_PUT_H

#include "lib/event.h"
#include "lib/json.h"
#include "lib/relmap.h"

/* Begins a line, which is an object. Its first member is the frame's name. */
void put_begin(FILE *out, struct json *j, const char *type);
void put_end(struct json *j);

/* All members of a relation. */
void put_relation(struct json *j, const struct relation *relation);

/* The table's name, or its oid if it is not in tables, which maps a relid to its struct
 * relation. */
void put_table(struct json *j, const char *name, const struct relmap *tables, uint32_t relid);

/* A row by the relation's column names, or by position if the relation, which may be NULL, is not
 * the row's. With only_key, columns outside the key are left out. */
void put_tuple(struct json *j, const char *name, const struct relation *relation,
               const struct tuple *tuple, bool only_key);

#endif
