/* missing.h: keys whose rows workers miss (docs/copy.md), until they are read. Encoded, as
 * lib/copydetail has them. */
#ifndef WALPIPE_PGTABLEREAD_MISSING_H
#define WALPIPE_PGTABLEREAD_MISSING_H

#include "lib/copydetail.h"

/* Keys of one range. The planner looks at each. */
#define KEYBATCH_MAX 256u

/* More are not kept, and the workers are asked again. Each of them sends 512 KiB at most. */
#define MISSING_BYTES_MAX (32u << 20)

/* Zero-initialise to use. */
struct keybatch {
    uint32_t count;
    struct buf keys;
};

struct missing {
    struct buf keys;
};

/* Adds keys, which must have this many columns. Returns 0, or -1 with err if they are malformed or
 * memory is out. */
int missing_add(struct missing *missing, struct bytes keys, uint32_t columns,
                struct err *err) MUST_CHECK;

/* Takes up to KEYBATCH_MAX of them into batch, which must be empty. Returns -1 when memory is
 * out. */
int missing_take(struct missing *missing, uint32_t columns, struct keybatch *batch) MUST_CHECK;

static inline bool
missing_has_some(const struct missing *missing)
{
    return buf_len(&missing->keys) > 0;
}

void missing_free(struct missing *missing);
void keybatch_free(struct keybatch *batch);

#endif
