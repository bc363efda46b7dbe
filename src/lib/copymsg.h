/* copymsg.h: the fields behind type and run id in the messages of the ack socket about copies
 * (docs/copy.md). ackd forwards those of the workers, and knows no table. */
#ifndef WALPIPE_COPYMSG_H
#define WALPIPE_COPYMSG_H

#include "lib/sinklist.h"

/* Most bytes that a worker packs for pg-table-read alone. Two of them fit in a message. */
#define COPYMSG_OPAQUE_MAX (512u << 10)

/* From pg-table-read, its description. */
struct copy_hello {
    char program[32];
};

/* From pg-table-read, the workers that must answer this life before it continues. */
struct copy_ask {
    uint64_t life;
    struct sinklist sinks; /* empty for all whose workers read copies */
};

/* A worker's answer to the frame `table`. */
enum table_want {
    TABLE_WANT = 'w',   /* it must be copied */
    TABLE_HAVE = 'h',   /* nothing has to be copied */
    TABLE_REFUSE = 'r', /* it cannot be copied, for the reason in detail */
    TABLE_KEEP = 'k'    /* it is not copied again, for the reason in detail, and stays as it was */
};

struct table_state {
    uint64_t life;
    uint32_t relid;
    uint32_t part;
    enum table_want want;
    bool last; /* to this life, after which no other answer comes */
    struct bytes detail;
};

/* From a worker, the result of its part of a range. */
struct range_copied {
    uint64_t life;
    uint64_t number;
    bool written; /* false if dropped, so that it must be read again */
};

/* From a worker, rows that must be read by their keys. */
struct keys_missing {
    uint64_t life;
    struct bytes keys;
};

/* A worker, for people: its tables by state, and the rows that it has written since its last
 * message. */
struct copy_counts {
    uint64_t waiting;
    uint64_t copying;
    uint64_t resync; /* copied again */
    uint64_t parked; /* set aside after an error */
    uint64_t streaming;
    uint64_t rows;
    uint64_t bytes; /* of these rows, as the stream had them */
};

#define COPY_COUNTS_ELEMENTS 7

/* From ackd to pg-table-read, a worker's message, unchanged. */
struct copy_relayed {
    char sink[NAME_MAX_BYTES + 1];
    uint32_t shard;
    struct bytes message; /* the array of its frame */
};

/* From ackd to pg-table-read, when all workers that were asked have given their last answer to this
 * life. */
struct copy_answered {
    uint64_t life;
    uint64_t workers; /* number of workers that were asked, and that report each range */
};

/* The request of a command about one table. */
struct copy_control {
    uint64_t number;                 /* of the request, given by ackd; a command says 0 */
    char verb[16];                   /* "resync" */
    char sink[NAME_MAX_BYTES + 1];   /* "": every sink that has the table */
    char schema[NAME_MAX_BYTES + 1]; /* of the published table */
    char name[NAME_MAX_BYTES + 1];
};

/* The answer, from pg-table-read to ackd and from ackd to the command. */
struct copy_controlled {
    uint64_t number;
    bool accepted;
    char message[512]; /* for people */
    char hint[512];
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
/* As COPY_COUNTS_ELEMENTS elements. */
void copy_counts_pack(struct packer *p, const struct copy_counts *counts);
bool copy_counts_read(struct cursor *c, struct copy_counts *counts) MUST_CHECK;
void copy_relayed_pack(struct packer *p, const struct copy_relayed *relayed);
bool copy_relayed_read(struct cursor *c, struct copy_relayed *relayed) MUST_CHECK;
void copy_answered_pack(struct packer *p, const struct copy_answered *answered);
bool copy_answered_read(struct cursor *c, struct copy_answered *answered) MUST_CHECK;
void copy_control_pack(struct packer *p, const struct copy_control *control);
bool copy_control_read(struct cursor *c, struct copy_control *control) MUST_CHECK;
void copy_controlled_pack(struct packer *p, const struct copy_controlled *controlled);
bool copy_controlled_read(struct cursor *c, struct copy_controlled *controlled) MUST_CHECK;

#endif
