/* heldlist.h: changes of tables without a key that are to be held in the target (copyheld.h), until
 * the next commit. struct batch does the same for changes that are applied. */
#ifndef SINK_PG_HELDLIST_H
#define SINK_PG_HELDLIST_H

#include "lib/event.h"

struct heldchange {
    uint32_t relid;
    uint32_t xid;
    uint64_t number; /* counts the changes of the table's life */
    uint32_t piece;  /* counts pieces of a size that can be read at once; the first is 1 */
    uint64_t commit_lsn;
    uint64_t offset;
    uint32_t length;
    uint8_t type; /* of the frame; the bytes are its body, of a truncate its flags */
};

/* Zero-initialise to use. */
struct heldlist {
    struct buf bytes;
    struct heldchange *list;
    uint32_t count;
    uint32_t size;
    uint32_t boundary; /* those before it are of transactions whose commit has come */
    uint32_t to;       /* those before it are written by the commit that is under way */
};

/* change's offset and length are set. -1 with err: out of memory. */
int heldlist_add(struct heldlist *l, struct heldchange change, struct bytes body,
                 struct err *err) MUST_CHECK;

struct bytes heldlist_body(const struct heldlist *l, uint32_t at);

/* Forgets the first `to`. */
void heldlist_drop(struct heldlist *l);
void heldlist_free(struct heldlist *l);

#endif
