/* pieces.c: see pieces.h. */
#include "pg-table-read/pieces.h"

/* Each COPY has all columns in its text. */
#define COLUMNS_FEW 64
#define COPIES_FEW  64

static uint64_t
end_of(const struct range_order *order)
{
    return order->span.open ? order->blocks : order->span.to.block;
}

/* Without a Tid Range Scan each COPY would read the whole table. */
uint32_t
pieces_blocks(const struct range_order *order, int server_version)
{
    uint64_t from = order->span.from.block, end = end_of(order), blocks;

    if (server_version < 140000 || order->kind != RANGE_BLOCKS || order->density == 0 ||
        order->relation->columns_count == 0 || order->relation->columns_count > COLUMNS_FEW)
        return 0;
    blocks = order->density >= PIECE_BYTES ? 1 : PIECE_BYTES / order->density;
    return end <= from || end > from + blocks * COPIES_FEW ? 0 : (uint32_t)blocks;
}

bool
pieces_take(const struct range_order *order, uint32_t n, struct span *span)
{
    uint64_t from = order->span.from.block + (uint64_t)n * order->piece_blocks;
    uint64_t to = from + order->piece_blocks, end = end_of(order);

    if (n > 0 && (order->piece_blocks == 0 || from >= end))
        return false;
    *span = order->span;
    if (n > 0)
        span->from = (struct ctid){.block = (uint32_t)from};
    if (order->piece_blocks > 0 && to < end) {
        span->to = (struct ctid){.block = (uint32_t)to};
        span->open = false;
    }
    return true;
}
