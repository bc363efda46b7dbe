/* pg-table-read_pieces.c: the COPYs of a range cover its blocks without a gap, and are used only
 * where the range cannot become too large. */
/* clang-format off: make reads one line
 * links: pg-table-read/pieces; libs: */
/* clang-format on */
#include "pg-table-read/pieces.h"

#include "check.h"

static const struct relation few = {.columns_count = 4}, many = {.columns_count = 65}, none;

static struct range_order
order_of(struct span span, uint64_t density)
{
    return (struct range_order){
        .relation = &few, .kind = RANGE_BLOCKS, .span = span, .blocks = 1000, .density = density};
}

static bool
same(struct ctid a, struct ctid b)
{
    return a.block == b.block && a.line == b.line;
}

/* From the span's beginning to its end, each COPY begins where the one before ended. */
static uint32_t
check_cover(struct span span, uint64_t density)
{
    struct range_order order = order_of(span, density);
    struct span piece, last = {.to = span.from};
    uint32_t n = 0;

    order.piece_blocks = pieces_blocks(&order, 150000);
    for (; pieces_take(&order, n, &piece); n++) {
        check(!last.open && same(piece.from, last.to), "a COPY begins where the last one ended");
        last = piece;
    }
    check(n > 0 && last.open == span.open && (span.open || same(last.to, span.to)),
          "the last COPY ends with the range");
    return n;
}

static void
check_blocks(struct range_order order, int version, uint32_t expected, const char *what)
{
    check(pieces_blocks(&order, version) == expected, "%s", what);
}

int
main(void)
{
    const struct span plain = {.from = {.block = 512}, .to = {.block = 1024}};
    struct range_order order = order_of(plain, 6000);

    check(check_cover(plain, 6000) == 25, "21 blocks of 6,000 bytes a COPY");
    check(check_cover((struct span){.from = {512, 7}, .to = {530, 3}}, 6000) == 1,
          "less than two COPYs are one");
    check(check_cover((struct span){.from = {512, 7}, .to = {533, 3}}, 6000) == 1,
          "rows of the last block belong to the COPY before it");
    check(check_cover((struct span){.from = {512, 7}, .to = {534, 0}}, 6000) == 2, "two COPYs");
    check(check_cover((struct span){.from = {0, 0}, .open = true}, 1) == 1, "an open range is one");
    check(check_cover((struct span){.from = {900, 0}, .open = true}, 6000) == 5,
          "an open range of 100 blocks");
    check(check_cover((struct span){.from = {1000, 0}, .open = true}, 6000) == 1,
          "behind the blocks that were seen");
    check(check_cover((struct span){.from = {4, 0}, .to = {6, 0}}, 400000) == 2, "one block each");

    check_blocks(order, 140000, 21, "without ctids");
    check_blocks(order, 130000, 0, "13 has no scan of a range of ctids");
    check_blocks(order_of(plain, 0), 150000, 0, "the bytes of a block are not known");
    check_blocks(order_of((struct span){.from = {1000, 0}, .open = true}, 6000), 150000, 0,
                 "the number of blocks is not known");
    check_blocks(order_of(plain, 16384), 150000, 8, "64 COPYs");
    check_blocks(order_of(plain, 16385), 150000, 0, "too many COPYs");
    order.kind = RANGE_KEYS;
    check_blocks(order, 150000, 0, "keys have no blocks");
    order.kind = RANGE_BLOCKS;
    order.relation = &none;
    check_blocks(order, 150000, 0, "no columns");
    order.relation = &many;
    check_blocks(order, 150000, 0, "many columns");
    return check_done();
}
