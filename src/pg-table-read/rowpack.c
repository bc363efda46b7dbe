/* rowpack.c: see rowpack.h. */
#include "pg-table-read/rowpack.h"

#define ROWS_BYTES (256u << 10)

static struct bytes
held(const struct buf *buf)
{
    return (struct bytes){.data = buf->data + buf->start, .len = buf_len(buf)};
}

int
rowpack_put(struct rowpack *pack, uint8_t type, const struct range_order *order, struct buf *frames,
            struct err *err)
{
    struct rows_event rows = {.life = order->life,
                              .number = order->number,
                              .count = pack->count,
                              .rows = held(&pack->rows),
                              .hashes = held(&pack->hashes)};

    if (pack->count == 0)
        return 0;
    if (pack->rows.failed || pack->hashes.failed || rows_encode(frames, type, &rows) != 0)
        return err_set(err, EXIT_PEER, "out of memory for rows");
    rowpack_reset(pack);
    return 0;
}

int
rowpack_add(struct rowpack *pack, uint8_t type, const struct range_order *order,
            const struct tuple *row, size_t len, struct buf *frames, struct err *err)
{
    uint8_t bytes[8];
    uint64_t hash;

    if (!keyhash_row(order->hash, row, NULL, &hash))
        return err_set(err, EXIT_BUG, "%s: a row has a key column without a value",
                       order->part->name);
    if (buf_len(&pack->rows) + len > ROWS_BYTES && rowpack_put(pack, type, order, frames, err) != 0)
        return -1;
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(hash >> (56 - 8 * i));
    rows_add(&pack->rows, row);
    buf_append(&pack->hashes, bytes, sizeof bytes);
    pack->count++;
    return 0;
}

void
rowpack_reset(struct rowpack *pack)
{
    pack->count = 0;
    buf_reset(&pack->rows, 2 * ROWS_BYTES);
    buf_reset(&pack->hashes, ROWS_BYTES);
}

void
rowpack_free(struct rowpack *pack)
{
    buf_free(&pack->rows);
    buf_free(&pack->hashes);
}
