/* tracked.h: remembers a worker's changes while tables are copied, and decides from them about each
 * copied row (docs/copy.md, "Tracking" and "Forgetting"). A worker has one for all its tables. It
 * knows no SQL and no frame, and it logs nothing.
 *
 * A range is read under a snapshot. A change that the snapshot lacks is newer than the range's
 * rows, in whatever order they arrive. So the worker calls tracked_whole, tracked_partial,
 * tracked_truncate or tracked_relation for each change of a table that is in a life, in the order
 * of the stream. It does so when it takes the change into its batch and before it applies it. That
 * holds also if the target's transaction fails and the batch is applied again. A range is written
 * only at a position that is applied, and a change that is remembered without need costs memory
 * only. A change that the worker skips, because the target has it from an earlier run, need not be
 * remembered. These changes must not survive the run.
 *
 * A key is the bytes of the values of the identity's columns, written the same way for a row of the
 * stream and for a row of a range. Keys are compared as bytes. xids are BEGIN's.
 *
 * This module does not handle tables without a key. All their changes are held. */
#ifndef WALPIPE_TRACKED_H
#define WALPIPE_TRACKED_H

#include "lib/buf.h"
#include "lib/snapshot.h"

/* For keys, the values of partial updates, and their entries. A table with a key of 16 bytes can
 * change 300,000 rows while the reader's oldest range is in flight. If they do not fit, only the
 * transactions' xids are kept, 8 bytes per table and transaction. */
#define TRACKED_BYTES_MAX (16u << 20)

struct tracked_change {
    uint32_t relid;
    uint32_t xid;
    uint32_t key; /* position of its key in bytes, followed by the values of a partial update */
    uint32_t key_len;
    uint32_t values_len;
    uint32_t next; /* next change of the same slot, 1 for the first of all, 0 if none */
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

/* Zero-initialise to use. tracked_free releases it. Everything is this module's. */
struct tracked {
    struct tracked_change *changes; /* in the stream's order */
    uint32_t count, size;
    struct buf bytes; /* begins at 0 */
    struct tracked_slot *slots;
    struct tracked_xids truncates;
    struct tracked_xids given_up; /* changes whose keys did not fit, changed descriptions */
};

/* ---- a change comes ---- */

/* Remembers a whole change of the key. That is an insert, an update with all values, a delete, or
 * `touched` with a key. An update that changes the key counts for both the old and the new key,
 * also if it has unchanged TOASTed values. Returns -1 when memory is out. The worker must end then,
 * because the change is not remembered. */
int tracked_whole(struct tracked *t, uint32_t relid, uint32_t xid, struct bytes key) MUST_CHECK;

/* Remembers an update, or an insert, with unchanged TOASTed values that keeps its key. The caller
 * needs values to lay the change over a copied row. They are copied. Returns the same as
 * tracked_whole. */
int tracked_partial(struct tracked *t, uint32_t relid, uint32_t xid, struct bytes key,
                    struct bytes values) MUST_CHECK;

/* A TRUNCATE, or `touched` without a key. Returns the same as tracked_whole. */
int tracked_truncate(struct tracked *t, uint32_t relid, uint32_t xid) MUST_CHECK;

/* A relation message that differs from the one before. Returns the same as tracked_whole. */
int tracked_relation(struct tracked *t, uint32_t relid, uint32_t xid) MUST_CHECK;

/* ---- a range is written ---- */

/* Whether the worker must drop the range and report it as dropped, because it lacks a change whose
 * key was given up, or a change of the table's description. Ask when the range is about to be
 * written, not when it arrives. */
bool tracked_must_drop(const struct tracked *t, uint32_t relid, const struct snapshot *snapshot);

enum tracked_verdict {
    TRACKED_WRITE,   /* write the row; an absent key is no longer missing */
    TRACKED_SKIP,    /* the target has newer data for this key, so leave it */
    TRACKED_LAY_OVER /* leave the row that the target has; without one, write the copied row with
                        the values of all tracked_next laid over it. Leave an absent key */
};

/* Whether tracked_judge says TRACKED_WRITE to every key. */
bool tracked_is_empty(const struct tracked *t);

/* Decides about a row of this key that was read under snapshot, or about the key if it was
 * requested and is absent. Only for ranges that need not be dropped. */
enum tracked_verdict tracked_judge(const struct tracked *t, uint32_t relid, struct bytes key,
                                   const struct snapshot *snapshot);

/* Returns the values of the partial updates of this key that snapshot lacks, in their order, and
 * false after the last. Start with *at = 0. values is valid until the next change comes or is
 * forgotten. */
bool tracked_next(const struct tracked *t, uint32_t relid, struct bytes key,
                  const struct snapshot *snapshot, uint32_t *at, struct bytes *values);

/* ---- forgetting ---- */

/* Forgets all changes that both the horizon and all snapshots of ranges that this worker holds
 * contain. held has one pointer per range, of any table, that has begun to arrive and is neither
 * written nor dropped. A late horizon costs memory only. */
void tracked_forget(struct tracked *t, const struct snapshot *horizon,
                    const struct snapshot *const *held, size_t held_count);

/* The table's life has ended and no range of it is held. */
void tracked_end(struct tracked *t, uint32_t relid);

/* The bytes that count against TRACKED_BYTES_MAX. */
size_t tracked_bytes(const struct tracked *t);

void tracked_free(struct tracked *t);

#endif
