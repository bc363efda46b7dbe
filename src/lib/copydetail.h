/* copydetail.h: what a worker and pg-table-read tell each other through ackd, which passes it on
 * unread (docs/copy.md, "What the opaque items hold"): encode and decode side by side. */
#ifndef WALPIPE_COPYDETAIL_H
#define WALPIPE_COPYDETAIL_H

#include "lib/copyevent.h"

/* The detail of `table state` "want" and "have": the note that the target has of the table. All
 * empty: it has none. */
struct copydetail_state {
    uint32_t file; /* the file that the finished ranges are of; 0: none */
    char definition[COPY_DEFINITION_MAX + 1];
    struct bytes done; /* as spans.h has it; decoded: into the message */
};

/* Appends it; a failure sticks to buf. */
void copydetail_state_encode(struct buf *buf, const struct copydetail_state *state);

/* False: malformed. `done` is taken as it is: spans_parse reads it. */
bool copydetail_state_decode(struct bytes detail, struct copydetail_state *state) MUST_CHECK;

/* The detail of "refuse": why, for people. */
struct copydetail_refusal {
    char message[512];
    char hint[512];
};

void copydetail_refusal_encode(struct buf *buf, const struct copydetail_refusal *refusal);
bool copydetail_refusal_decode(struct bytes detail, struct copydetail_refusal *refusal) MUST_CHECK;

/* `missing`: keys, one behind the other; of each the values of the columns that are the identity of
 * the life's relation, in its order. Appends one; a failure sticks to buf. */
void copydetail_key_add(struct buf *keys, const struct tuple *key);

/* Takes the next key; its values point into the message. False: malformed, or not of `columns`
 * values that are text. */
bool copydetail_key_next(struct cursor *keys, uint32_t columns, struct tuple *key,
                         struct value values[COLUMNS_MAX]) MUST_CHECK;

#endif
