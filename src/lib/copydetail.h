/* copydetail.h: items of messages between workers and pg-table-read that ackd forwards unread
 * (docs/copy.md, "The contents of the opaque items"). Encode and decode stand side by side. */
#ifndef WALPIPE_COPYDETAIL_H
#define WALPIPE_COPYDETAIL_H

#include "lib/copyevent.h"

/* The detail of `table state` "want" and "have", which is the target's note of the table. All
 * fields are empty if it has none. */
struct copydetail_state {
    uint32_t file; /* the file of the finished ranges, 0 if none */
    char definition[COPY_DEFINITION_MAX + 1];
    struct bytes done; /* in the form of spans.h; after decoding, points into the message */
    bool resync;       /* the table is being copied again */
};

/* Appends it. If memory runs out, buf remembers it. */
void copydetail_state_encode(struct buf *buf, const struct copydetail_state *state);

/* Returns false if it is malformed. `done` is not parsed. spans_parse does that. */
bool copydetail_state_decode(struct bytes detail, struct copydetail_state *state) MUST_CHECK;

/* The detail of "refuse" and "keep", which is the reason for people. */
struct copydetail_refusal {
    char message[512];
    char hint[512];
};

void copydetail_refusal_encode(struct buf *buf, const struct copydetail_refusal *refusal);
bool copydetail_refusal_decode(struct bytes detail, struct copydetail_refusal *refusal) MUST_CHECK;

/* The keys of `missing`, one after the other. Each has the values of the columns of the life's
 * identity, in the order of its relation. Appends one. If memory runs out, buf remembers it. */
void copydetail_key_add(struct buf *keys, const struct tuple *key);

/* Takes the next key, whose values point into the message. Returns false if it is malformed, or
 * does not have `columns` values that are text. */
bool copydetail_key_next(struct cursor *keys, uint32_t columns, struct tuple *key,
                         struct value values[COLUMNS_MAX]) MUST_CHECK;

#endif
