/* keyhash.h: the hash of a row's key, as the event stream carries it (docs/events.7): one home for
 * those who put rows into the stream. A row that is copied must reach the worker that gets its
 * changes. */
#ifndef WALPIPE_KEYHASH_H
#define WALPIPE_KEYHASH_H

#include "lib/event.h"

/* What the hash of a table's rows is taken of. Zero-initialise to use. */
struct keyhash {
    uint64_t start;         /* the hash after the relid */
    uint32_t columns_count; /* key columns whose bytes enter the hash */
    struct keyhash_column {
        uint16_t column;
        uint32_t type_oid;
    } * columns;
};

/* -1: out of memory. */
int keyhash_init(struct keyhash *k, uint32_t relid, char replica_identity,
                 const struct relation_column *columns, uint32_t count) MUST_CHECK;
void keyhash_free(struct keyhash *k);

/* The hash of a row: key columns come from row, and where they are unchanged TOAST there from other
 * (may be NULL). False when a key column's value is in neither: the row can't be identified. */
bool keyhash_row(const struct keyhash *k, const struct tuple *row, const struct tuple *other,
                 uint64_t *hash) MUST_CHECK;

#endif
