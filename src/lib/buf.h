/* buf.h: a byte queue that grows at its end and is consumed at its start. */
#ifndef WALPIPE_BUF_H
#define WALPIPE_BUF_H

#include <string.h>

#include "lib/base.h"

/* Zero-initialise to use. Bytes [start, end) of data are held. failed is sticky. An append that
 * found no memory sets it, so that a packer checks its many appends once, at the frame's end. */
struct buf {
    uint8_t *data;
    size_t start;
    size_t end;
    size_t size;
    bool failed;
};

/* Makes room for n more bytes at end. Returns 0, or -1 when memory is out (failed is set). */
int buf_reserve(struct buf *b, size_t n) MUST_CHECK;

static inline void
buf_append(struct buf *b, const void *data, size_t n)
{
    if (n > b->size - b->end && buf_reserve(b, n) != 0)
        return;
    if (n > 0)
        memcpy(b->data + b->end, data, n);
    b->end += n;
}

static inline size_t
buf_len(const struct buf *b)
{
    return b->end - b->start;
}

/* Drops n bytes from the start. n <= buf_len. */
void buf_consume(struct buf *b, size_t n);

/* Drops the bytes and keeps the memory, unless it is larger than keep. So a rare huge row does not
 * hold its memory for good. */
void buf_reset(struct buf *b, size_t keep);

/* Frees the memory that holds no bytes. For many bufs that are kept long. */
void buf_fit(struct buf *b);

void buf_free(struct buf *b);

#endif
