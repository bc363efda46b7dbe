/* relmap.h: maps a relation's oid to a room's own data about the table. Made for one look-up per
 * row. */
#ifndef WALPIPE_RELMAP_H
#define WALPIPE_RELMAP_H

#include "lib/base.h"

struct relmap_slot {
    uint32_t relid;
    void *value; /* NULL for a free slot */
};

/* Zero-initialise to use. Values are the caller's. */
struct relmap {
    struct relmap_slot *slots;
    size_t size; /* a power of two, or 0 */
    size_t count;
};

void *relmap_get(const struct relmap *map, uint32_t relid);

/* Puts value (not NULL) under relid. *replaced is the value before, or NULL. Returns -1 when memory
 * is out. */
int relmap_put(struct relmap *map, uint32_t relid, void *value, void **replaced) MUST_CHECK;

/* The next value at or after *at, which moves on. NULL at the end. Start with *at = 0. */
void *relmap_next(const struct relmap *map, size_t *at);

/* Frees the map, not its values. */
void relmap_free(struct relmap *map);

#endif
