/* keyhash.h: the hash of a row's key, as the event stream carries it (docs/events.7). All programs
 * that put rows into the stream use it, because a row that is copied must reach the worker that
 * gets its changes. */
#ifndef WALPIPE_KEYHASH_H
#define WALPIPE_KEYHASH_H

#include "lib/event.h"

/* The columns that the hash of a table's rows is computed from. Zero-initialise to use. */
struct keyhash {
    uint64_t start;         /* the hash after the relid */
    uint32_t columns_count; /* key columns whose bytes enter the hash */
    struct keyhash_column {
        uint16_t column;
        uint32_t type_oid;
    } * columns;
};

/* Returns -1 when memory is out. */
int keyhash_init(struct keyhash *k, uint32_t relid, char replica_identity,
                 const struct relation_column *columns, uint32_t count) MUST_CHECK;
void keyhash_free(struct keyhash *k);

/* The hash of a row. Key columns come from row. Those that are unchanged TOAST there come from
 * other, which may be NULL. Returns false if a key column's value is in neither, because then the
 * row cannot be identified. */
bool keyhash_row(const struct keyhash *k, const struct tuple *row, const struct tuple *other,
                 uint64_t *hash) MUST_CHECK;

#endif
