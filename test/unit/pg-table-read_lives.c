/* pg-table-read/lives: the ranges of a life cover its table without a gap, whatever becomes of
 * each: read, cut, tried again, of another file. */
/* clang-format off: make reads one line
 * links: pg-table-read/lives pg-table-read/catalog pg-table-read/waiting pg-table-read/text lib/pgrelations lib/keyhash lib/hash lib/relmap lib/pqx lib/buf lib/err; libs: -lpq */
/* clang-format on */
#include "pg-table-read/lives.h"

#include <stdlib.h>

#include "check.h"
#include "pg-table-read/rangeread.h"

#define BLOCKS      5000u
#define FILE_NUMBER 77u

static struct relation_column column = {.name = "id", .key = true, .type_oid = 23};
static struct lives lives;

/* In a table of BLOCKS. */
static const struct range_found *
found(uint32_t file, uint64_t bytes)
{
    static struct range_found f;

    f = (struct range_found){.file = file, .blocks = BLOCKS, .rows = 1, .bytes = bytes};
    return &f;
}

static struct catalog *
one_table(uint32_t oid, uint64_t blocks)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);

    catalog->users = 1;
    catalog->parts = calloc(1, sizeof *catalog->parts);
    catalog->parts_count = 1;
    catalog->parts[0] = (struct catalog_part){.relid = oid, .oid = oid, .blocks = blocks};
    catalog->published.relations = calloc(1, sizeof *catalog->published.relations);
    catalog->published.count = 1;
    catalog->published.relations[0] = (struct relation){
        .relid = oid, .replica_identity = 'd', .columns_count = 1, .columns = &column};
    return catalog;
}

static struct life *
reading(uint32_t oid, uint64_t blocks)
{
    struct catalog *catalog = one_table(oid, blocks);

    check(lives_list(&lives, catalog) == 0, "the table is listed");
    catalog_drop(catalog);
    check(lives_begin(&lives, lives.first) == 0, "its life begins");
    lives.first->state = LIFE_READING;
    return lives.first;
}

/* Marks what a range covers, up to the block that `next` is in. */
static void
cover(uint8_t *blocks, const struct range_order *order, const struct ctid *next)
{
    uint32_t to = order->blocks.open ? BLOCKS : order->blocks.to;

    if (next != NULL)
        to = next->block;
    for (uint32_t b = order->blocks.from.block; b < to; b++)
        blocks[b]++;
}

static bool
all_are(const uint8_t *blocks, uint8_t times)
{
    for (uint32_t b = 0; b < BLOCKS; b++)
        if (blocks[b] != times)
            return false;
    return true;
}

static void
test_each_block_once(void)
{
    static uint8_t covered[BLOCKS];
    struct life *life = reading(1, BLOCKS);
    struct range_order order;
    uint32_t n = 0;

    while (lives_next(&lives, &order)) {
        struct ctid next = {.block = order.blocks.from.block + 3, .line = 0};
        bool cut = n % 3 == 0 && (order.blocks.open || order.blocks.to > next.block);

        if (n++ % 5 == 4) {
            check(life_again(&order) == 0, "a range is tried again");
            continue;
        }
        cover(covered, &order, cut ? &next : NULL);
        check(life_read(&order, cut ? &next : NULL, found(FILE_NUMBER, RANGE_BYTES_MAX)) == 0,
              "a range is read");
    }
    check(all_are(covered, 1), "each block was read once");
    check(life->state == LIFE_READ && life->in_flight == 0, "and the life knows it");
    lives_free(&lives);
}

static void
test_another_file(void)
{
    static uint8_t covered[BLOCKS];
    struct life *life = reading(1, BLOCKS);
    struct range_order old, first, order;

    check(lives_next(&lives, &old) && lives_next(&lives, &first), "two ranges in flight");
    check(life_read(&first, NULL, found(FILE_NUMBER, 1)) == 0, "one is read");
    check(lives_next(&lives, &order) && order.file == FILE_NUMBER, "the next is of its file");
    check(life_moved(&order) == 0, "it has another file");
    check(life_read(&old, NULL, found(FILE_NUMBER, 1)) == 0 && life->file == 0,
          "what comes of the file of before means nothing");
    while (lives_next(&lives, &order)) {
        cover(covered, &order, NULL);
        check(life_read(&order, NULL, found(FILE_NUMBER + 1, 1)) == 0, "a range of the new file");
    }
    check(all_are(covered, 1) && life->state == LIFE_READ, "all blocks are read again");
    lives_free(&lives);
}

static void
test_two_files_at_first(void)
{
    struct life *life = reading(1, BLOCKS);
    struct range_order a, b;

    check(lives_next(&lives, &a) && lives_next(&lives, &b), "two ranges before a file is known");
    check(life_read(&a, NULL, found(FILE_NUMBER, 1)) == 0, "the first is of one");
    check(life_read(&b, NULL, found(FILE_NUMBER + 1, 1)) == 0 && life->file == 0 &&
              life->pass > a.pass,
          "the second of another: all is read again");
    lives_free(&lives);
}

static void
test_ends(void)
{
    struct life *life = reading(1, 1);
    struct catalog *none = calloc(1, sizeof *none);
    struct range_order order, late;

    check(lives_next(&lives, &late), "a range in flight");
    life_end(life, LIFE_NEW);
    check(life->stale && life->in_flight == 1 && !life_is_active(life), "its life ends");
    check(life_read(&late, NULL, found(FILE_NUMBER, 1)) == 0 && life->in_flight == 0 &&
              life->state == LIFE_NEW,
          "the range comes back and means nothing");
    none->users = 1;
    check(lives_list(&lives, none) == 0 && !life->listed, "the table is gone");
    catalog_drop(none);
    check(!lives_next(&lives, &order), "nothing is left to read");
    lives_free(&lives);
}

int
main(void)
{
    test_each_block_once();
    test_another_file();
    test_two_files_at_first();
    test_ends();
    return check_done();
}
