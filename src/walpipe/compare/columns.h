/* columns.h: the columns of one table of a PostgreSQL server, as walpipe compare needs them. */
#ifndef WALPIPE_COMPARE_COLUMNS_H
#define WALPIPE_COMPARE_COLUMNS_H

#include <libpq-fe.h>

#include "walpipe/pool.h"

struct column {
    const char *name;
    uint32_t oid; /* of the type, for a domain of its base type */
    int32_t typmod;
    const char *type;   /* its name, qualified and quoted */
    char kind;          /* typtype */
    const char *inside; /* the attributes of a composite or of an array's elements, NULL if they
                           have types that are not built in */
    bool bytewise;      /* its collation sorts by bytes */
    uint32_t place;     /* in the key, from 1, 0 if it is no part of it */
    bool generated;
    bool nullable;
};

struct columns {
    bool exists;
    bool partitioned;
    struct column *list;
    size_t count;
};

/* Reads them with the key, which is the replica identity, or the primary key under REPLICA IDENTITY
 * FULL. A table that does not exist is no error. Returns 0, or -1 with err. */
int columns_read(struct columns *columns, PGconn *conn, const char *schema, const char *table,
                 struct pool *pool, struct err *err) MUST_CHECK;

/* NULL if there is none of this name. */
const struct column *columns_find(const struct columns *columns, const char *name);

#endif
