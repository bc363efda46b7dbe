/* written.h: what the open transaction has written to ClickHouse already, where a batch was cut
 * inside it: for each key a hash of its row. Knows no event and no server.
 *
 * Only for tables under REPLICA IDENTITY FULL: their key may be deferrable, two rows can then hold
 * one key for a moment, and a change of the one must not be taken for a change of the other (trap
 * 115). Bounded: what is beyond the maximum is not remembered. */
#ifndef WALPIPE_SINKCH_WRITTEN_H
#define WALPIPE_SINKCH_WRITTEN_H

#include "lib/base.h"

#define WRITTEN_MAX (1u << 20) /* keys; 32 MiB of memory */

#define WRITTEN_NO_ROW 0

struct written_slot {
    uint64_t key; /* 0: free */
    uint64_t row;
};

/* Zero-initialise. */
struct written {
    struct written_slot *slots; /* open addressing */
    uint32_t size, used;
};

/* A table under one description. Under another one its rows have other bytes: what was written
 * before is not found, and need not be, since PostgreSQL refuses ALTER TABLE while the check of a
 * deferred key is pending. */
struct written_table {
    uint32_t number;
    uint32_t description;
};

uint64_t written_key(const struct written_table *table, struct bytes key);
uint64_t written_row(struct bytes columns);

/* row: WRITTEN_NO_ROW for a tombstone. False: the maximum is reached, or memory was out; then all
 * that was known is forgotten. It must not stay: rows change, and an old one is worse than none. */
bool written_put(struct written *written, uint64_t key, uint64_t row) MUST_CHECK;

/* WRITTEN_NO_ROW when the key has none that is known. */
uint64_t written_find(const struct written *written, uint64_t key);

/* The transaction is over. */
void written_forget(struct written *written);

#endif
