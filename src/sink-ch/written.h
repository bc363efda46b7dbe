/* written.h: the rows that the open transaction has written to ClickHouse already, when a batch was
 * cut inside it. It has a hash of the row for each key. Knows no event and no server.
 *
 * Only for tables under REPLICA IDENTITY FULL. Their key may be deferrable. Then two rows can hold
 * one key for a moment, and a change of one must not be taken for a change of the other (trap 115).
 * Bounded. Rows beyond the maximum are not remembered. */
#ifndef WALPIPE_SINKCH_WRITTEN_H
#define WALPIPE_SINKCH_WRITTEN_H

#include "lib/base.h"

#define WRITTEN_MAX (1u << 20) /* keys, in 32 MiB of memory */

#define WRITTEN_NO_ROW 0

struct written_slot {
    uint64_t key; /* 0 if free */
    uint64_t row;
};

/* Zero-initialise. */
struct written {
    struct written_slot *slots; /* open addressing */
    uint32_t size, used;
};

/* A table under one description. Under another one its rows have other bytes, so the rows written
 * before are not found. They need not be, because PostgreSQL refuses ALTER TABLE while the check of
 * a deferred key is pending. */
struct written_table {
    uint32_t number;
    uint32_t description;
};

uint64_t written_key(const struct written_table *table, struct bytes key);
uint64_t written_row(struct bytes columns);

/* row is WRITTEN_NO_ROW for a tombstone. Returns false if the maximum is reached, or memory was
 * out. Then everything is forgotten. It must not stay, because rows change, and an old hash is
 * worse than none. */
bool written_put(struct written *written, uint64_t key, uint64_t row) MUST_CHECK;

/* WRITTEN_NO_ROW when the key has none that is known. */
uint64_t written_find(const struct written *written, uint64_t key);

/* The transaction is over. */
void written_forget(struct written *written);

#endif
