/* batch.h: rows that wait to be sent, of all tables, encoded. One row a key: the last one wins, and
 * stands where the last change put it. Knows no event and no server.
 *
 * A row is the table's columns in RowBinary, the key's first, then version and deleted flag. A row
 * with holes lacks the bytes of some columns: their values were not sent (unchanged TOAST) and are
 * to be found in ClickHouse, where readback.c looks for them. */
#ifndef WALPIPE_SINKCH_BATCH_H
#define WALPIPE_SINKCH_BATCH_H

#include "lib/buf.h"
#include "lib/limits.h"
#include "sink-ch/version.h"

#define BATCH_NONE UINT32_MAX

/* Columns of a row that are holes. */
struct hole_map {
    uint8_t bits[(COLUMNS_MAX + 7) / 8];
};

/* Where a row with holes was: under which key, from which change on. The row's last place is its
 * own key; `before` leads back to the keys it had before, which it left at the next place's `from`.
 */
struct batch_hole {
    size_t key_at; /* in the arena */
    size_t key_len;
    struct version from; /* 0: since before this batch */
    uint32_t before;     /* index; BATCH_NONE: none */
    struct hole_map map; /* of the last place */
};

struct batch_entry {
    size_t at; /* in the arena */
    size_t len;
    size_t key_len; /* 0: a table without a key */
    uint32_t table;
    uint32_t next;      /* of the same table; BATCH_NONE: the last */
    uint32_t killed_by; /* a later entry of the same key; BATCH_NONE: alive */
    uint32_t hole;      /* index of its last place; BATCH_NONE: no holes */
    bool tombstone;
};

/* One table's rows. */
struct batch_table {
    uint32_t first, last; /* entries */
    uint32_t alive;
    uint32_t next; /* table in the order of first rows; BATCH_NONE: the last */
};

struct batch {
    struct buf arena;
    struct batch_entry *entries;
    uint32_t entries_count, entries_size;
    uint32_t alive;
    struct batch_hole *holes;
    uint32_t holes_count, holes_size;
    struct batch_table *tables;
    uint32_t tables_size;
    uint32_t first_table, last_table;
    uint32_t *slots; /* (table, key) to its last entry; open addressing */
    uint32_t slots_size;
    uint32_t slots_used;
};

void batch_init(struct batch *batch);
void batch_free(struct batch *batch);

/* Forgets all rows. */
void batch_reset(struct batch *batch);

/* Bytes held, the dead rows' included. */
size_t batch_bytes(const struct batch *batch);

/* The entry that is alive for a key, or BATCH_NONE. */
uint32_t batch_find(const struct batch *batch, uint32_t table, struct bytes key);

/* Adds a row that stands at the arena's end; it replaces an older one of its key. -1: out of
 * memory. */
int batch_add(struct batch *batch, const struct batch_entry *row) MUST_CHECK;

/* Adds a place of a row with holes; its index, or BATCH_NONE: out of memory. */
uint32_t batch_add_hole(struct batch *batch, const struct batch_hole *hole) MUST_CHECK;

/* Takes one row that is alive out of the batch. */
void batch_drop(struct batch *batch, uint32_t number);

/* Takes back every entry from number `mark` on, and revives those they replaced. Nothing may be
 * added afterwards before batch_reset: keys are no longer found. */
void batch_rollback(struct batch *batch, uint32_t mark);

static inline const uint8_t *
batch_bytes_at(const struct batch *batch, size_t at)
{
    return batch->arena.data + at;
}

static inline bool
hole_map_get(const struct hole_map *map, uint32_t column)
{
    return (map->bits[column / 8] >> (column % 8) & 1) != 0;
}

static inline void
hole_map_set(struct hole_map *map, uint32_t column)
{
    map->bits[column / 8] |= (uint8_t)(1 << (column % 8));
}

#endif
