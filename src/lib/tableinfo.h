/* tableinfo.h: what the source's catalog says of a table and a relation event does not: the frame
 * of both streams that carries it (docs/frame.7, docs/events.7). It was read later than the change
 * that it stands beside, so it may be ahead of the stream: tableinfo_agrees. */
#ifndef WALPIPE_TABLEINFO_H
#define WALPIPE_TABLEINFO_H

#include "lib/event.h"

/* PostgreSQL has 32 (INDEX_MAX_KEYS) unless it is built with more. */
#define TABLEINFO_KEYS_MAX 64u

struct tableinfo_column {
    uint32_t attnum; /* stays when the column is renamed, and never comes again */
    const char *name;
    uint32_t type_oid;
    int32_t typmod;
    bool not_null;
    bool has_default;    /* it may have been added with one */
    const char *missing; /* what rows hold that were written before the column was added, in the
                            type's text format; NULL: null, or the table was written anew since */
};

/* Numbers of columns, in the key's own order. */
struct tableinfo_key {
    uint32_t count;
    uint32_t attnums[TABLEINFO_KEYS_MAX];
};

/* All strings and the columns belong to the struct (one block); tableinfo_free releases them. */
struct tableinfo {
    uint32_t relid;
    uint64_t lsn; /* the source's WAL position when it had been read */
    char replica_identity;
    const char *schema;
    const char *name;
    struct tableinfo_key primary;  /* the primary key, unless it is deferrable */
    struct tableinfo_key identity; /* of the index that is the replica identity */
    uint32_t columns_count;
    struct tableinfo_column *columns;
    void *block;
};

/* type is FRAME_WAL_TABLEINFO or FRAME_TABLEINFO. */
int tableinfo_encode(struct buf *buf, uint8_t type, const struct tableinfo *info) MUST_CHECK;

/* 0, or -1 with err: malformed, or out of memory. info may hold anything before. */
int tableinfo_decode(struct cursor *body, uint32_t elements, struct tableinfo *info,
                     struct err *err) MUST_CHECK;
void tableinfo_free(struct tableinfo *info);

/* False: the catalog is ahead of the stream, and nothing of what it says holds there. */
bool tableinfo_agrees(const struct tableinfo *info, const struct relation *relation);

/* A column by its number, or by its name. NULL: there is none. */
const struct tableinfo_column *tableinfo_at(const struct tableinfo *info, uint32_t attnum);
const struct tableinfo_column *tableinfo_named(const struct tableinfo *info, const char *name);

#endif
