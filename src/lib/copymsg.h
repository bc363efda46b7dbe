/* copymsg.h: what the messages of the ack socket carry that are about copies (docs/copy.md): the
 * fields behind type and run id. ackd passes on what workers say of them, and knows no table. */
#ifndef WALPIPE_COPYMSG_H
#define WALPIPE_COPYMSG_H

#include "lib/sinklist.h"

/* What a worker packs for pg-table-read alone is at most so long: two of them fit in a message. */
#define COPYMSG_OPAQUE_MAX (512u << 10)

/* pg-table-read: who is there. */
struct copy_hello {
    char program[32];
};

/* pg-table-read: who must answer this life before it goes on. */
struct copy_ask {
    uint64_t life;
    struct sinklist sinks; /* none: all whose workers read copies */
};

/* A worker's answer to the frame `table`. */
enum table_want {
    TABLE_WANT = 'w',  /* it is to be copied */
    TABLE_HAVE = 'h',  /* nothing is to be copied */
    TABLE_REFUSE = 'r' /* it can't be copied; detail says why */
};

struct table_state {
    uint64_t life;
    uint32_t relid;
    uint32_t part;
    enum table_want want;
    bool last; /* to this life: nothing more is said of it */
    struct bytes detail;
};

/* A worker: what became of its part of a range. */
struct range_copied {
    uint64_t life;
    uint64_t number;
    bool written; /* false: dropped, it is to be read again */
};

/* A worker: rows that are to be read by their keys. */
struct keys_missing {
    uint64_t life;
    struct bytes keys;
};

/* ackd to pg-table-read: what a worker said, as it came. */
struct copy_relayed {
    char sink[NAME_MAX_BYTES + 1];
    uint32_t shard;
    struct bytes message; /* the array of its frame */
};

/* ackd to pg-table-read: all who were asked have given their last answer to this life. */
struct copy_answered {
    uint64_t life;
    uint64_t workers; /* so many were asked, and report each range */
};

void copy_hello_pack(struct packer *p, const struct copy_hello *hello);
bool copy_hello_read(struct cursor *c, struct copy_hello *hello) MUST_CHECK;
void copy_ask_pack(struct packer *p, const struct copy_ask *ask);
bool copy_ask_read(struct cursor *c, struct copy_ask *ask) MUST_CHECK;
void table_state_pack(struct packer *p, const struct table_state *state);
bool table_state_read(struct cursor *c, struct table_state *state) MUST_CHECK;
void range_copied_pack(struct packer *p, const struct range_copied *copied);
bool range_copied_read(struct cursor *c, struct range_copied *copied) MUST_CHECK;
void keys_missing_pack(struct packer *p, const struct keys_missing *missing);
bool keys_missing_read(struct cursor *c, struct keys_missing *missing) MUST_CHECK;
void copy_relayed_pack(struct packer *p, const struct copy_relayed *relayed);
bool copy_relayed_read(struct cursor *c, struct copy_relayed *relayed) MUST_CHECK;
void copy_answered_pack(struct packer *p, const struct copy_answered *answered);
bool copy_answered_read(struct cursor *c, struct copy_answered *answered) MUST_CHECK;

#endif
