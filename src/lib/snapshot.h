/* snapshot.h: the transactions that a PostgreSQL snapshot contains, which means that it sees their
 * changes (docs/copy.md). Transaction ids are full ones with the epoch (xid8), as pg_snapshot has
 * them. */
#ifndef WALPIPE_SNAPSHOT_H
#define WALPIPE_SNAPSHOT_H

#include "lib/pack.h"

/* max_connections and max_prepared_transactions keep it lower on any real server. */
#define SNAPSHOT_RUNNING_MAX 1000000u

/* Zero-initialise to use. snapshot_free releases running. */
struct snapshot {
    uint64_t xmin; /* all below have ended */
    uint64_t xmax; /* nothing from here on is contained */
    uint32_t running_count;
    uint64_t *running; /* in [xmin, xmax), ascending, not contained */
};

/* Parses pg_snapshot's text, "xmin:xmax:xid,xid,...". Returns 0, or -1 with err if it is malformed
 * or memory is out. snapshot may hold anything before. Free it in any case. */
int snapshot_parse(const char *text, struct snapshot *snapshot, struct err *err) MUST_CHECK;

/* As an item of a frame, [xmin, xmax, [running, ...]]. Decoding returns the same as
 * snapshot_parse. */
void snapshot_pack(struct packer *p, const struct snapshot *snapshot);
int snapshot_unpack(struct cursor *c, struct snapshot *snapshot, struct err *err) MUST_CHECK;

/* Whether it sees the transaction's changes. The xid is a top-level one of 32 bits, as BEGIN has
 * it. Its epoch is that of the full xid nearest to xmax, because transactions that can be decoded
 * are within 2^31 of it. */
bool snapshot_contains(const struct snapshot *snapshot, uint32_t xid);

/* Whether every transaction that a contains is contained in b. True also if they are equal. On a
 * primary, of any two snapshots one is within the other. */
bool snapshot_within(const struct snapshot *a, const struct snapshot *b);

/* Makes to, which may hold a snapshot, a copy of from. Returns -1 with err when memory is out. */
int snapshot_copy(struct snapshot *to, const struct snapshot *from, struct err *err) MUST_CHECK;

void snapshot_free(struct snapshot *snapshot);

#endif
