/* heldlist.c: see heldlist.h. */
#include "sink-pg/heldlist.h"

#include <inttypes.h>
#include <stdlib.h>

int
heldlist_add(struct heldlist *l, struct heldchange change, struct bytes body, struct err *err)
{
    if (l->count == l->size) {
        uint32_t size = l->size == 0 ? 1024 : l->size * 2;
        struct heldchange *list = realloc(l->list, size * sizeof *list);

        if (list == NULL)
            return err_set(err, EXIT_PEER, "out of memory for %" PRIu32 " changes that wait", size);
        l->list = list;
        l->size = size;
    }
    change.offset = buf_len(&l->bytes);
    change.length = (uint32_t)body.len;
    buf_append(&l->bytes, body.data, body.len);
    if (l->bytes.failed)
        return err_set(err, EXIT_PEER, "out of memory for changes that wait");
    l->list[l->count++] = change;
    return 0;
}

struct bytes
heldlist_body(const struct heldlist *l, uint32_t at)
{
    return (struct bytes){.data = l->bytes.data + l->bytes.start + l->list[at].offset,
                          .len = l->list[at].length};
}

void
heldlist_drop(struct heldlist *l)
{
    uint32_t left = l->count - l->to;
    uint64_t bytes = left > 0 ? l->list[l->to].offset : buf_len(&l->bytes);

    for (uint32_t i = 0; i < left; i++) {
        l->list[i] = l->list[l->to + i];
        l->list[i].offset -= bytes;
    }
    if (left > 0)
        buf_consume(&l->bytes, bytes);
    else
        buf_reset(&l->bytes, 8u << 20);
    l->boundary = l->boundary > l->to ? l->boundary - l->to : 0;
    l->count = left;
    l->to = 0;
}

void
heldlist_free(struct heldlist *l)
{
    buf_free(&l->bytes);
    free(l->list);
    *l = (struct heldlist){0};
}
