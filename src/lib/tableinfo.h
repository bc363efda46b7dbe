/* tableinfo.h: facts about a table that the source's catalog has and a relation event lacks, and
 * the frame of both streams that carries them (docs/frame.7, docs/events.7). They were read later
 * than the change beside them, so they may be ahead of the stream. See tableinfo_agrees. */
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
    bool has_default; /* it may have been added with a default */
    const char
        *missing; /* the value in rows that were written before the column was added, in the type's
                     text format, NULL for null, or if the table was rewritten since */
};

/* Numbers of columns, in the key's own order. */
struct tableinfo_key {
    uint32_t count;
    uint32_t attnums[TABLEINFO_KEYS_MAX];
};

/* All strings and the columns belong to the struct (one block). tableinfo_free releases them. */
struct tableinfo {
    uint32_t relid;
    uint64_t lsn; /* the source's WAL position after it was read */
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

/* Returns 0, or -1 with err if it is malformed or memory is out. info may hold anything before. */
int tableinfo_decode(struct cursor *body, uint32_t elements, struct tableinfo *info,
                     struct err *err) MUST_CHECK;
void tableinfo_free(struct tableinfo *info);

/* Returns false if the catalog is ahead of the stream. Then nothing in info may be used. */
bool tableinfo_agrees(const struct tableinfo *info, const struct relation *relation);

/* A column by its number, or by its name. NULL if there is none. */
const struct tableinfo_column *tableinfo_at(const struct tableinfo *info, uint32_t attnum);
const struct tableinfo_column *tableinfo_named(const struct tableinfo *info, const char *name);

#endif
