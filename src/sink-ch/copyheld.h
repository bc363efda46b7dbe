/* copyheld.h: changes of tables without a key that wait for the snapshot of their copy
 * (docs/copy.md, "ClickHouse"). They are only in memory. After a crash the copy begins again, under
 * a snapshot that contains them. If a table has too many, the oldest are given up, and only the
 * xids of their transactions are kept. This is enough if the snapshot contains them. */
#ifndef WALPIPE_SINKCH_COPYHELD_H
#define WALPIPE_SINKCH_COPYHELD_H

#include "lib/event.h"
#include "lib/snapshot.h"

struct heldchange {
    uint64_t commit_lsn;
    uint32_t xid;
    uint32_t len;  /* of its body */
    uint32_t type; /* of the frame */
};

struct heldtable {
    struct heldtable *next;
    uint32_t relid;
    struct buf changes;  /* each a heldchange and its body */
    struct buf given_up; /* xids */
};

/* Zero-initialise. */
struct copyheld {
    struct heldtable *first;
};

/* Keeps a change. Returns 1 if too many are given up, -1 with err if memory is out. */
int copyheld_add(struct copyheld *held, uint32_t relid, const struct heldchange *change,
                 struct bytes body, struct err *err) MUST_CHECK;

/* The changes of the table that wait. NULL if there are none. */
struct heldtable *copyheld_of(const struct copyheld *held, uint32_t relid);

/* Whether the snapshot lacks a change that was given up. */
bool copyheld_lacks(const struct heldtable *table, const struct snapshot *snapshot);

/* Takes the oldest change. Its body is valid until the next call of copyheld_add. Returns false if
 * there is none. */
bool copyheld_take(struct heldtable *table, struct heldchange *change, struct bytes *body);

/* Forgets a table's changes. */
void copyheld_drop(struct copyheld *held, uint32_t relid);

void copyheld_free(struct copyheld *held);

#endif
