/* strict.h: for tests of frames, which must be accepted whole, and in no other form. The test
 * defines takes() before it includes this. */
#ifndef WALPIPE_TEST_STRICT_H
#define WALPIPE_TEST_STRICT_H

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* The frame in buf is accepted whole and in no other form. Empties buf. */
static void
check_strict(struct buf *buf, const char *name)
{
    size_t len = buf_len(buf) - FRAME_HEADER, cut;
    uint8_t *copy = malloc(len + 1);

    if (copy == NULL)
        abort();
    memcpy(copy, buf->data + buf->start + FRAME_HEADER, len);
    copy[len] = 0xc0;
    check(takes(copy, len), "%s is read", name);
    check(!takes(copy, len + 1), "%s with an element behind it is not", name);
    for (cut = 0; cut < len; cut++) {
        /* of its own size, so that AddressSanitizer sees a read past it */
        uint8_t *part = malloc(cut + (cut == 0));

        if (part == NULL)
            abort();
        memcpy(part, copy, cut);
        if (takes(part, cut))
            check(false, "%s cut at %zu is read", name, cut);
        free(part);
    }
    copy[0] = (uint8_t)(copy[0] + 1);
    check(!takes(copy, len + 1), "%s with another count of elements is not", name);
    free(copy);
    buf_reset(buf, 1 << 20);
}

#endif
