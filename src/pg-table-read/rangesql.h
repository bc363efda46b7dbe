/* rangesql.h: the commands that read one range, as one string: the server runs them one after the
 * other without waiting for us. */
#ifndef WALPIPE_PGTABLEREAD_RANGESQL_H
#define WALPIPE_PGTABLEREAD_RANGESQL_H

#include "lib/copyevent.h"
#include "lib/keyhash.h"
#include "pg-table-read/catalog.h"
#include "pg-table-read/session.h"

/* The rows from `from` on, up to the block `to`, or to the table's end. */
struct blocks {
    struct ctid from;
    uint32_t to;
    bool open;
};

struct life;

/* A range that is to be read. Its life outlives it, and keeps what it points to. */
struct range_order {
    struct life *owner;
    uint64_t life;
    uint64_t number;
    const struct relation *relation;
    const struct keyhash *hash;
    const struct catalog_part *part;
    struct blocks blocks;
    uint32_t file; /* that of the other ranges; 0: there is none yet */
    uint32_t pass; /* see lives.h */
    uint64_t floor;
};

/* What the SELECT behind the lock answers, in one row. No row: the table has another name now. */
enum range_field {
    RANGE_FIELD_SNAPSHOT,
    RANGE_FIELD_FILE,
    RANGE_FIELD_BLOCKS,
    RANGE_FIELD_INSERT_LSN,
    RANGE_FIELD_DEFINITION,
    RANGE_FIELD_SHAPE
};

/* BEGIN, LOCK, that SELECT, COPY of ctid and the relation's columns, COMMIT. publications is a
 * text[] as text. The caller frees it. NULL: out of memory. */
char *rangesql_commands(PGconn *conn, const char *publications, const struct range_order *order);

#endif
