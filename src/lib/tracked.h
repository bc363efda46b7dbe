/* tracked.h: the changes that a worker remembers while tables are copied, and what they mean for a
 * row that is copied (docs/copy.md, "Tracking" and "Forgetting"). One per worker, for all its
 * tables. It knows no SQL and no frame, and it logs nothing.
 *
 * A range is read under a snapshot. A change that the snapshot lacks is newer than the range's
 * rows, in whatever order they arrive. So the worker calls tracked_whole, tracked_partial,
 * tracked_truncate or tracked_relation for each change of a table that is in a life, in the order
 * of the stream, when it takes the change into its batch and before it applies it. That holds also
 * if the target's transaction fails and the batch is applied again: a range is written only at a
 * position that is applied, and a change that is remembered for nothing costs memory only. A change
 * that the worker skips, because the target has it from an earlier run, need not be remembered.
 * What is here must not survive the run.
 *
 * A key is the bytes of the values of the identity's columns, written the same way for a row of
 * the stream and for a row of a range. Keys are compared as bytes. xids are BEGIN's.
 *
 * Tables without a key are not for this module: all their changes are held. */
#ifndef WALPIPE_TRACKED_H
#define WALPIPE_TRACKED_H

#include "lib/buf.h"
#include "lib/snapshot.h"

/* For keys, the values of partial updates, and what belongs to each. A table with a key of 16 bytes
 * can change 300,000 rows while the reader's oldest range is in flight. When they do not fit, the
 * transactions' xids are kept in their place, 8 bytes per table and transaction. */
#define TRACKED_BYTES_MAX (16u << 20)

struct tracked_change {
    uint32_t relid;
    uint32_t xid;
    uint32_t key; /* where its key stands in bytes; the values of a partial update follow */
    uint32_t key_len;
    uint32_t values_len;
    uint32_t next; /* change of the same slot, 1 for the first of all; 0: none */
    bool partial;
};

struct tracked_xid {
    uint32_t relid;
    uint32_t xid;
};

struct tracked_xids {
    struct tracked_xid *list;
    size_t count;
    size_t size;
};

#define TRACKED_SLOTS (1u << 16)

struct tracked_slot {
    uint32_t first, last; /* as tracked_change.next */
};

/* Zero-initialise to use; tracked_free releases it. Everything is this module's. */
struct tracked {
    struct tracked_change *changes; /* in the stream's order */
    uint32_t count, size;
    struct buf bytes; /* begins at 0 */
    struct tracked_slot *slots;
    struct tracked_xids truncates;
    struct tracked_xids given_up; /* changes whose keys did not fit, changed descriptions */
};

/* ---- a change comes ---- */

/* A whole change of the key: an insert, an update with all values, a delete, both the old and the
 * new key of an update that changes the key, also if it has unchanged TOASTed values, or `touched`
 * with a key. -1: out of memory; the worker must end then, since the change is not remembered. */
int tracked_whole(struct tracked *t, uint32_t relid, uint32_t xid, struct bytes key) MUST_CHECK;

/* An update, or an insert, with unchanged TOASTed values that keeps its key. values is what the
 * caller needs to lay it over a copied row; it is copied. As tracked_whole. */
int tracked_partial(struct tracked *t, uint32_t relid, uint32_t xid, struct bytes key,
                    struct bytes values) MUST_CHECK;

/* A TRUNCATE, or `touched` without a key. As tracked_whole. */
int tracked_truncate(struct tracked *t, uint32_t relid, uint32_t xid) MUST_CHECK;

/* A relation message that differs from the one before. As tracked_whole. */
int tracked_relation(struct tracked *t, uint32_t relid, uint32_t xid) MUST_CHECK;

/* ---- a range is written ---- */

/* Whether the worker must drop the range and report it as dropped: it lacks a change whose key was
 * given up, or a change of the table's description. Ask when the range is about to be written, not
 * when it arrives. */
bool tracked_must_drop(const struct tracked *t, uint32_t relid, const struct snapshot *snapshot);

enum tracked_verdict {
    TRACKED_WRITE,   /* write the row; delete the row of an absent key */
    TRACKED_SKIP,    /* the target is right about this key; leave it */
    TRACKED_LAY_OVER /* leave the row that the target has; if it has none, write the copied row
                        with the values of all tracked_next laid over it. Leave an absent key */
};

/* What becomes of a row of this key that was read under snapshot, or of the key if it was asked for
 * and is absent. Only for ranges that need not be dropped. */
enum tracked_verdict tracked_judge(const struct tracked *t, uint32_t relid, struct bytes key,
                                   const struct snapshot *snapshot);

/* The values of the partial updates of this key that snapshot lacks, in their order. Start with
 * *at = 0; false: there is no further one. values is valid until the next change comes or is
 * forgotten. */
bool tracked_next(const struct tracked *t, uint32_t relid, struct bytes key,
                  const struct snapshot *snapshot, uint32_t *at, struct bytes *values);

/* ---- forgetting ---- */

/* Forgets what the horizon and all snapshots of ranges that this worker holds contain. held has one
 * pointer per range, of any table, that has begun to arrive and is neither written nor dropped. A
 * late horizon costs memory only. */
void tracked_forget(struct tracked *t, const struct snapshot *horizon,
                    const struct snapshot *const *held, size_t held_count);

/* The table's life has ended and no range of it is held. */
void tracked_end(struct tracked *t, uint32_t relid);

/* What counts against TRACKED_BYTES_MAX. */
size_t tracked_bytes(const struct tracked *t);

void tracked_free(struct tracked *t);

#endif
