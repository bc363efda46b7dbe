/* buf.c: see buf.h. */
#include "lib/buf.h"

#include <stdlib.h>

int
buf_reserve(struct buf *b, size_t n)
{
    size_t held = buf_len(b);
    size_t size;
    uint8_t *data;

    if (n <= b->size - b->end)
        return 0;
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, held);
        b->start = 0;
        b->end = held;
        if (n <= b->size - held && held <= b->size / 2)
            return 0;
    }
    if (n > SIZE_MAX / 4 || held > SIZE_MAX / 4)
        goto failed;
    size = b->size < 4096 ? 4096 : b->size;
    while (size - held < n)
        size *= 2;
    data = realloc(b->data, size);
    if (data == NULL)
        goto failed;
    b->data = data;
    b->size = size;
    return 0;
failed:
    b->failed = true;
    return -1;
}

void
buf_consume(struct buf *b, size_t n)
{
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void
buf_reset(struct buf *b, size_t keep)
{
    b->start = b->end = 0;
    b->failed = false;
    if (b->size > keep)
        buf_free(b);
}

void
buf_fit(struct buf *b)
{
    size_t held = buf_len(b);
    uint8_t *data;

    if (b->start > 0 && held > 0)
        memmove(b->data, b->data + b->start, held);
    b->start = 0;
    b->end = held;
    data = held == 0 ? NULL : realloc(b->data, held);
    if (data == NULL)
        return;
    b->data = data;
    b->size = held;
}

void
buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
