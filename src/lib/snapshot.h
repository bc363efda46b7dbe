/* snapshot.h: which transactions a PostgreSQL snapshot contains, that is, whose changes it sees
 * (docs/copy.md). Full transaction ids, as pg_snapshot has them: xid8, with the epoch. */
#ifndef WALPIPE_SNAPSHOT_H
#define WALPIPE_SNAPSHOT_H

#include "lib/pack.h"

/* max_connections and max_prepared_transactions bound it on any server that exists. */
#define SNAPSHOT_RUNNING_MAX 1000000u

/* Zero-initialise to use; snapshot_free releases running. */
struct snapshot {
    uint64_t xmin; /* all below have ended */
    uint64_t xmax; /* nothing from here on is contained */
    uint32_t running_count;
    uint64_t *running; /* in [xmin, xmax), ascending: not contained */
};

/* pg_snapshot's text: "xmin:xmax:xid,xid,...". 0, or -1 with err: malformed, or out of memory.
 * snapshot may hold anything before, and is to be freed in any case. */
int snapshot_parse(const char *text, struct snapshot *snapshot, struct err *err) MUST_CHECK;

/* As an item of a frame: [xmin, xmax, [running, ...]]. Decoding as snapshot_parse. */
void snapshot_pack(struct packer *p, const struct snapshot *snapshot);
int snapshot_unpack(struct cursor *c, struct snapshot *snapshot, struct err *err) MUST_CHECK;

/* Whether it sees what the transaction did. The xid is a top-level one of 32 bits, as BEGIN has it;
 * its epoch is that of the full xid nearest to xmax: what can be decoded is within 2^31 of it. */
bool snapshot_contains(const struct snapshot *snapshot, uint32_t xid);

/* Whether every transaction that a contains is contained in b. True also where they are equal. On a
 * primary two snapshots are always ordered so, one way or the other. */
bool snapshot_within(const struct snapshot *a, const struct snapshot *b);

/* Makes to, which may hold a snapshot, another one like from. -1 with err: out of memory. */
int snapshot_copy(struct snapshot *to, const struct snapshot *from, struct err *err) MUST_CHECK;

void snapshot_free(struct snapshot *snapshot);

#endif
