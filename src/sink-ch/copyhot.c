/* copyhot.c: see copyhot.h. */
#include "sink-ch/copyhot.h"

#include <string.h>

/* Each whole change of a copied table is compared with all of them. */
#define KEYS_MAX  128
#define BYTES_MAX (64u << 10)

struct head {
    uint32_t relid;
    uint32_t len;
};

/* The key's place in keys, or their end. */
static size_t
find(const struct copyhot *hot, uint32_t relid, struct bytes key)
{
    const uint8_t *keys = hot->keys.data + hot->keys.start;
    size_t at = 0;

    while (at < buf_len(&hot->keys)) {
        struct head head;

        memcpy(&head, keys + at, sizeof head);
        if (head.relid == relid && head.len == key.len &&
            memcmp(keys + at + sizeof head, key.data, key.len) == 0)
            break;
        at += sizeof head + head.len;
    }
    return at;
}

void
copyhot_add(struct copyhot *hot, uint32_t relid, struct bytes key)
{
    const struct head head = {.relid = relid, .len = (uint32_t)key.len};

    if (hot->count == KEYS_MAX || buf_len(&hot->keys) + sizeof head + key.len > BYTES_MAX ||
        find(hot, relid, key) < buf_len(&hot->keys) ||
        buf_reserve(&hot->keys, sizeof head + key.len) != 0)
        return;
    buf_append(&hot->keys, &head, sizeof head);
    buf_append(&hot->keys, key.data, key.len);
    hot->count++;
}

bool
copyhot_take(struct copyhot *hot, uint32_t relid, struct bytes key)
{
    size_t at = find(hot, relid, key), whole = sizeof(struct head) + key.len;
    uint8_t *place = hot->keys.data + hot->keys.start + at;

    if (at >= buf_len(&hot->keys))
        return false;
    memmove(place, place + whole, buf_len(&hot->keys) - at - whole);
    hot->keys.end -= whole;
    hot->count--;
    return true;
}

void
copyhot_free(struct copyhot *hot)
{
    buf_free(&hot->keys);
    buf_free(&hot->key);
}
