/* pg-table-read_lives.c: the ranges of a life cover its table without a gap, no matter whether each
 * is read, cut, tried again, or of another file. */
/* clang-format off: make reads one line
 * links: pg-table-read/lives pg-table-read/listing pg-table-read/missing pg-table-read/flights pg-table-read/crew lib/sinklist lib/copydetail lib/copydefinition lib/spans lib/ctid lib/event lib/frame lib/pack lib/cursor pg-table-read/catalog pg-table-read/waiting pg-table-read/text lib/pgrelations lib/keyhash lib/hash lib/relmap lib/pqx lib/backoff lib/buf lib/err; libs: -lpq */
/* clang-format on */
#include "pg-table-read/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "pg-table-read/rangeread.h"

#define BLOCKS      5000u
#define FILE_NUMBER 77u

static struct relation_column column = {.name = "id", .key = true, .type_oid = 23};
static struct lives lives;
static struct err listing_error;
static uint64_t now;

/* Long after each rest. */
static uint64_t
later(void)
{
    return now += UINT64_C(60000000);
}

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
    catalog->parts[0] = (struct catalog_part){
        .relid = oid, .oid = oid, .blocks = blocks, .measured = true, .digest = "d"};
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

    check(listing_take(&lives, catalog, &listing_error) == 0, "the table is listed");
    catalog_drop(catalog);
    check(lives_begin(&lives, lives.first) == 0, "its life begins");
    lives.first->state = LIFE_READING;
    return lives.first;
}

/* Marks the blocks that a range covers, up to the block that `next` is in. */
static void
cover(uint8_t *blocks, const struct range_order *order, const struct ctid *next)
{
    uint32_t to = order->span.open ? BLOCKS : order->span.to.block;

    if (next != NULL)
        to = next->block;
    for (uint32_t b = order->span.from.block; b < to; b++)
        blocks[b]++;
}

/* The next range of blocks. */
static bool
next_blocks(struct range_order *order)
{
    return lives.first->state == LIFE_READING && lives_next(&lives, later(), order) == 1;
}

/* It is read, up to `next`, and all workers report it. */
static bool
is_read(struct range_order *order, const struct ctid *next, uint64_t bytes)
{
    struct range_left left = {.next = next};

    if (life_read(order, next == NULL ? NULL : &left,
                  found(order->file == 0 ? FILE_NUMBER : order->file, bytes)) != 1)
        return false;
    life_reported(order);
    return true;
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

    while (next_blocks(&order)) {
        struct ctid next = {.block = order.span.from.block + 3, .line = 0};
        bool cut = n % 3 == 0 && (order.span.open || order.span.to.block > next.block);
        struct range_left left = {.next = &next};

        if (n++ % 5 == 4) {
            check(life_again(&order) == 0, "a range is tried again");
            continue;
        }
        if (n % 7 == 6) {
            check(life_read(&order, cut ? &left : NULL, found(FILE_NUMBER, 1)) == 1 &&
                      life_dropped(&order, later()) == 0,
                  "a range is dropped by a worker");
            continue;
        }
        cover(covered, &order, cut ? &next : NULL);
        check(is_read(&order, cut ? &next : NULL, RANGE_BYTES_MAX), "a range is read");
    }
    check(all_are(covered, 1), "each block was read once");
    check(life->state == LIFE_READ && life->in_flight == 0, "and the life knows it");
    lives_free(&lives);
}

static void
test_unreported(void)
{
    struct life *life = reading(1, 1);
    struct range_order order;

    check(next_blocks(&order) && life_read(&order, NULL, found(FILE_NUMBER, 1)) == 1 &&
              life->state == LIFE_READING,
          "a table is not read before its ranges are reported");
    life_reported(&order);
    check(life->state == LIFE_READ && !life_is_finished(life), "then it is, but not finished");
    check(lives_next(&lives, later(), &order) == 1 && order.kind == RANGE_ASKS &&
              order.keys.count == 0,
          "keys are asked for");
    check(life_again(&order) == 0 && lives_next(&lives, later(), &order) == 1 &&
              order.keys.count == 0,
          "again, where that was not read");
    check(lives_next(&lives, later(), &order) == 0, "once");
    check(life_read(&order, NULL, found(FILE_NUMBER + 1, 0)) == 1 &&
              life_dropped(&order, later()) == 0 && lives_next(&lives, later(), &order) == 1 &&
              order.keys.count == 0,
          "again, where a worker dropped it");
    check(life_read(&order, NULL, found(FILE_NUMBER, 0)) == 1 && !life_is_finished(life),
          "not finished before all have answered");
    life_reported(&order);
    check(life_is_finished(life), "finished");
    lives_free(&lives);
}

static void
test_rest(void)
{
    struct life *life = reading(1, 2 * BLOCKS);
    struct range_order one, two, order;
    uint64_t at = later();

    check(next_blocks(&one) && next_blocks(&two), "two ranges");
    check(life_read(&one, NULL, found(FILE_NUMBER, 1)) == 1 &&
              life_read(&two, NULL, found(FILE_NUMBER, 1)) == 1,
          "are read");
    check(life_dropped(&one, at) == 0 && life_dropped(&two, at) == 0, "and dropped");
    check(lives_next(&lives, at + 90000, &order) == 0, "then the table rests");
    check(lives_next(&lives, at + 210000, &order) == 1 &&
              life_read(&order, NULL, found(FILE_NUMBER, 1)) == 1,
          "for the shortest time: both were in flight at once");
    at += 210000;
    check(life_dropped(&order, at) == 0 && lives_next(&lives, at + 190000, &order) == 0 &&
              lives_next(&lives, at + 410000, &order) == 1,
          "longer, where it is dropped again");
    check(is_read(&order, NULL, 1) && life->backoff.failures == 0, "until one is written");
    lives_free(&lives);
}

static void
test_missing(void)
{
    struct value seven = {.kind = VALUE_TEXT, .len = 1, .data = (const uint8_t *)"7"};
    struct tuple key = {.count = 1, .values = &seven};
    struct life *life = reading(1, 1);
    struct range_order order;
    struct keybatch left = {.count = 1};

    check(next_blocks(&order) && is_read(&order, NULL, 1), "all blocks are read");
    check(lives_next(&lives, later(), &order) == 1 && life_read(&order, NULL, found(1, 0)) == 1,
          "keys are asked for");
    copydetail_key_add(&life->missing.keys, &key);
    copydetail_key_add(&life->missing.keys, &key);
    life_reported(&order);
    check(!life_is_finished(life) && lives_next(&lives, later(), &order) == 1 &&
              order.keys.count == 2,
          "two are missing");
    check(lives_next(&lives, later(), &(struct range_order){0}) == 0, "nothing else meanwhile");
    copydetail_key_add(&left.keys, &key);
    check(life_read(&order, &(struct range_left){.keys = &left}, found(1, 0)) == 1,
          "one of them is read");
    life_reported(&order);
    keybatch_free(&order.keys);
    keybatch_free(&left);
    check(lives_next(&lives, later(), &order) == 1 && order.keys.count == 1 &&
              life_read(&order, NULL, found(1, 0)) == 1 && life_dropped(&order, later()) == 0,
          "then the other, which is dropped");
    keybatch_free(&order.keys);
    check(lives_next(&lives, later(), &order) == 1 && order.keys.count == 1 &&
              life_read(&order, NULL, found(1, 0)) == 1,
          "and read again");
    life_reported(&order);
    keybatch_free(&order.keys);
    check(lives_next(&lives, later(), &order) == 1 && order.keys.count == 0,
          "and they are asked for again");
    lives_free(&lives);
}

static void
test_another_file(void)
{
    static uint8_t covered[BLOCKS];
    struct life *life = reading(1, BLOCKS);
    struct range_order old, first, order;

    check(next_blocks(&old) && next_blocks(&first), "two ranges in flight");
    check(life_read(&first, NULL, found(FILE_NUMBER, 1)) == 1, "one is read");
    check(next_blocks(&order) && order.file == FILE_NUMBER, "the next is of its file");
    check(life_moved(&order) == 0, "it has another file");
    check(life_read(&old, NULL, found(FILE_NUMBER, 1)) == 0 && life->file == 0,
          "what comes of the file of before means nothing");
    check(life_dropped(&first, later()) == 0 && life->rests_count == 1, "nor that it is dropped");
    while (next_blocks(&order)) {
        cover(covered, &order, NULL);
        check(life_read(&order, NULL, found(FILE_NUMBER + 1, 1)) == 1, "a range of the new file");
        life_reported(&order);
    }
    check(all_are(covered, 1) && life->state == LIFE_READ, "all blocks are read again");
    lives_free(&lives);
}

static void
test_two_files_at_first(void)
{
    struct life *life = reading(1, BLOCKS);
    struct range_order a, b;

    check(next_blocks(&a) && next_blocks(&b), "two ranges before a file is known");
    check(life_read(&a, NULL, found(FILE_NUMBER, 1)) == 1, "the first is of one");
    check(life_read(&b, NULL, found(FILE_NUMBER + 1, 1)) == 0 && life->file == 0 &&
              life->pass > a.pass,
          "the second of another: all is read again");
    lives_free(&lives);
}

/* The blocks that are read of the table after two workers have answered with these notes, or with
 * "have" for NULL. */
static uint32_t
left_to_read(const struct copydetail_state *one, const struct copydetail_state *two)
{
    struct life *life = reading(1, BLOCKS);
    struct range_order order;
    struct err err = {0};
    uint32_t blocks = 0;

    life->state = LIFE_BEGUN;
    check(life_answer(life, one, &err) == 0 && life_answer(life, two, &err) == 0 &&
              life_go(life) == 0 && life->state == LIFE_GO,
          "two answers");
    life_start(life);
    while (next_blocks(&order)) {
        blocks += (order.span.open ? BLOCKS : order.span.to.block) - order.span.from.block;
        check(is_read(&order, NULL, 1), "a range");
    }
    check(life->state == LIFE_READ, "all is read");
    lives_free(&lives);
    return blocks;
}

static struct copydetail_state
note(uint32_t file, const char *definition, const char *done)
{
    struct copydetail_state state = {.file = file,
                                     .done = {.data = (const uint8_t *)done, .len = strlen(done)}};

    snprintf(state.definition, sizeof state.definition, "%s", definition);
    return state;
}

static void
test_notes(void)
{
    struct copydetail_state half = note(5, "d", "(0,0)-(1000,0),(4000,0)-"),
                            more = note(5, "d", "(500,0)-(2000,0),(4500,0)-"),
                            other_file = note(6, "d", "(0,0)-"), other = note(5, "e", "(0,0)-"),
                            none = note(0, "", ""), bad = note(5, "d", "(0,0)");
    struct err err = {0};

    check(left_to_read(&half, &half) == 3000, "what both have is not read");
    check(left_to_read(&half, &more) == 4000, "what one lacks is");
    check(left_to_read(&half, NULL) == 3000 && left_to_read(NULL, &half) == 3000, "one has all");
    check(left_to_read(NULL, NULL) == 0, "both have all");
    check(left_to_read(&half, &none) == BLOCKS && left_to_read(&none, &half) == BLOCKS,
          "one has nothing");
    check(left_to_read(&half, &other_file) == BLOCKS && left_to_read(&other_file, &half) == BLOCKS,
          "one has it of another file");
    check(left_to_read(&half, &other) == BLOCKS, "one has it of another definition");
    check(life_answer(reading(1, 1), &bad, &err) != 0 && err.code == EXIT_REFUSED, "malformed");
    lives_free(&lives);
}

static void
test_ends(void)
{
    struct life *life = reading(1, 1);
    struct catalog *none = calloc(1, sizeof *none);
    struct range_order order, late;

    check(next_blocks(&late), "a range in flight");
    life_end(life, LIFE_NEW);
    check(life->stale && life->in_flight == 1 && !life_is_active(life), "its life ends");
    check(life_read(&late, NULL, found(FILE_NUMBER, 1)) == 0 && life->in_flight == 0 &&
              life->state == LIFE_NEW,
          "the range comes back and means nothing");
    none->users = 1;
    check(listing_take(&lives, none, &listing_error) == 0 && !life->listed, "the table is gone");
    catalog_drop(none);
    check(lives_next(&lives, later(), &order) == 0, "nothing is left to read");
    lives_free(&lives);
}

int
main(void)
{
    test_each_block_once();
    test_unreported();
    test_rest();
    test_missing();
    test_notes();
    test_another_file();
    test_two_files_at_first();
    test_ends();
    return check_done();
}
