/* input.h: shared by the fuzzers. An input is a sequence of messages, each behind its length in two
 * big-endian bytes. The last may be shorter than its length. Corpora are made by ./seed. */
#ifndef WALPIPE_FUZZ_INPUT_H
#define WALPIPE_FUZZ_INPUT_H

#include <stdlib.h>

#include "lib/cursor.h"
#include "lib/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline bool
input_next(struct cursor *input, struct bytes *message)
{
    uint16_t len;

    if (!cursor_u16(input, &len))
        return false;
    return cursor_bytes(input, len > input->left ? input->left : len, message);
}

/* The message as a frame's body, in memory of exactly its size, so that a read past its end is
 * seen. The caller frees *memory. */
static inline struct frame
input_frame(struct bytes message, uint8_t **memory)
{
    size_t len = FRAME_HEADER + message.len;
    uint8_t *raw = malloc(len);

    if (raw == NULL)
        abort();
    raw[0] = 0;
    raw[1] = (uint8_t)(message.len >> 16);
    raw[2] = (uint8_t)(message.len >> 8);
    raw[3] = (uint8_t)message.len;
    if (message.len > 0)
        memcpy(raw + FRAME_HEADER, message.data, message.len);
    *memory = raw;
    return (struct frame){.raw = {.data = raw, .len = len},
                          .body = cursor_over(raw + FRAME_HEADER, message.len)};
}

/* A promise of walpipe's own that does not hold. */
static inline void
require(bool ok)
{
    if (!ok)
        abort();
}

#endif
