/* missing.c: see missing.h. */
#include "pg-table-read/missing.h"

static struct bytes
held(const struct buf *keys)
{
    return (struct bytes){.data = keys->data + keys->start, .len = buf_len(keys)};
}

/* The length of the first `most` keys at most. *count is their number. Returns false if they are
 * malformed. */
static bool
measure(struct bytes keys, uint32_t columns, uint32_t most, uint32_t *count, size_t *len)
{
    struct value values[COLUMNS_MAX];
    struct cursor c = cursor_over(keys.data, keys.len);
    struct tuple key;

    for (*count = 0; c.left > 0 && *count < most; (*count)++)
        if (!copydetail_key_next(&c, columns, &key, values))
            return false;
    *len = keys.len - c.left;
    return true;
}

int
missing_add(struct missing *m, struct bytes keys, uint32_t columns, struct err *err)
{
    uint32_t count;
    size_t len;

    if (!measure(keys, columns, UINT32_MAX, &count, &len))
        return err_set(err, EXIT_REFUSED, "malformed list of missing keys");
    if (buf_len(&m->keys) + keys.len > MISSING_BYTES_MAX)
        return 0;
    buf_append(&m->keys, keys.data, keys.len);
    return m->keys.failed ? err_set(err, EXIT_PEER, "out of memory for missing keys") : 0;
}

int
missing_take(struct missing *m, uint32_t columns, struct keybatch *batch)
{
    size_t len;

    if (!measure(held(&m->keys), columns, KEYBATCH_MAX, &batch->count, &len))
        return -1;
    buf_append(&batch->keys, held(&m->keys).data, len);
    if (batch->keys.failed)
        return -1;
    buf_consume(&m->keys, len);
    if (!missing_has_some(m))
        buf_reset(&m->keys, 0);
    return 0;
}

void
missing_free(struct missing *m)
{
    buf_free(&m->keys);
}

void
keybatch_free(struct keybatch *batch)
{
    buf_free(&batch->keys);
    batch->count = 0;
}
