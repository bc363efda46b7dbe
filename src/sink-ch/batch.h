/* batch.h: encoded rows of all tables that wait to be sent. A key has one row. The last one wins,
 * and is at the place of the last change. Knows no event and no server.
 *
 * A row is the table's columns in RowBinary, the key's first, then version and deleted flag. A row
 * with holes lacks the bytes of some columns. Their values were not sent (unchanged TOAST).
 * readback.c looks for them in ClickHouse. */
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

/* A place where a row with holes was, with its key and its first change. The row's last place is
 * its own key. `before` leads back to the keys it had before, each of which it left at the next
 * place's `from`. */
struct batch_hole {
    size_t key_at; /* in the arena */
    size_t key_len;
    struct version from; /* 0 if it was there before this batch */
    uint32_t before;     /* index; BATCH_NONE: none */
    size_t named_at;     /* the row's key as copymissing.h has it; in the arena */
    size_t named_len;    /* 0: of a table that is not copied */
    struct hole_map map; /* of the last place */
};

struct batch_entry {
    size_t at; /* in the arena */
    size_t len;
    size_t key_len; /* 0 for a table without a key */
    uint32_t table;
    uint32_t next;      /* of the same table, BATCH_NONE for the last */
    uint32_t killed_by; /* a later entry of the same key, BATCH_NONE while this one is alive */
    uint64_t lsn;       /* of its last change's commit record */
    uint32_t hole;      /* index of its last place, BATCH_NONE without holes */
    bool tombstone;
};

/* One table's rows. */
struct batch_table {
    uint32_t first, last; /* entries */
    uint32_t alive;
    uint32_t next; /* table in the order of first rows, BATCH_NONE for the last */
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
    uint32_t *slots; /* (table, key) to its last entry, with open addressing */
    uint32_t slots_size;
    uint32_t slots_used;
};

void batch_init(struct batch *batch);
void batch_free(struct batch *batch);

/* Forgets all rows. */
void batch_reset(struct batch *batch);

/* Bytes held, including those of dead rows. */
size_t batch_bytes(const struct batch *batch);

/* The entry that is alive for a key, or BATCH_NONE. */
uint32_t batch_find(const struct batch *batch, uint32_t table, struct bytes key);

/* Adds a row that is at the arena's end. It replaces an older one of its key. Returns -1 when
 * memory is out. */
int batch_add(struct batch *batch, const struct batch_entry *row) MUST_CHECK;

/* Adds a place of a row with holes. Returns its index, or BATCH_NONE when memory is out. */
uint32_t batch_add_hole(struct batch *batch, const struct batch_hole *hole) MUST_CHECK;

/* Takes a row that is alive out of the batch. */
void batch_drop(struct batch *batch, uint32_t number);

/* Removes every entry from number `mark` on, and revives those that they replaced. Add nothing
 * afterwards before batch_reset, because keys are no longer found. */
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
