/* lives.c: see lives.h. */
#include "pg-table-read/lives.h"

#include <stdlib.h>

#include "pg-table-read/rangeread.h"

/* 512 blocks are 4 MiB of heap: more text only where values are compressed or TOASTed. A range with
 * much more than RANGE_BYTES_MAX is cut, which costs a cancel; one with much less costs a
 * transaction for little. */
#define STEP_FIRST 512u
#define STEP_LEAST 8u
#define STEP_MOST  4096u

/* Lets the catalog's part describe it. */
static int
describe(struct life *life, struct catalog *catalog, const struct catalog_part *part)
{
    const struct relation *relation = catalog_relation(catalog, part->relid);
    struct keyhash hash;

    if (relation == NULL || keyhash_init(&hash, relation->relid, relation->replica_identity,
                                         relation->columns, relation->columns_count) != 0)
        return -1;
    keyhash_free(&life->hash);
    catalog_drop(life->catalog);
    life->catalog = catalog_keep(catalog);
    life->relation = relation;
    life->part = part;
    life->hash = hash;
    life->stale = false;
    return 0;
}

static int
add(struct lives *lives, struct catalog *catalog, const struct catalog_part *part)
{
    struct life *life = calloc(1, sizeof *life), **at = &lives->first;
    void *replaced;

    if (life == NULL)
        return -1;
    if (describe(life, catalog, part) != 0 ||
        relmap_put(&lives->parts, part->oid, life, &replaced) != 0) {
        keyhash_free(&life->hash);
        catalog_drop(life->catalog);
        free(life);
        return -1;
    }
    life->listed = true;
    while (*at != NULL)
        at = &(*at)->next;
    *at = life;
    return 0;
}

int
lives_list(struct lives *lives, struct catalog *catalog)
{
    for (struct life *life = lives->first; life != NULL; life = life->next)
        life->listed = false;
    for (size_t i = 0; i < catalog->parts_count; i++) {
        const struct catalog_part *part = &catalog->parts[i];
        struct life *life = relmap_get(&lives->parts, part->oid);

        if (life == NULL ? add(lives, catalog, part) != 0
                         : !life_is_active(life) && life->in_flight == 0 &&
                               describe(life, catalog, part) != 0)
            return -1;
        if (life != NULL)
            life->listed = true;
    }
    return 0;
}

static int
add_rest(struct life *life, const struct blocks *blocks)
{
    if (life->rests_count == life->rests_size) {
        size_t size = life->rests_size * 2 + 8;
        struct blocks *rests = realloc(life->rests, size * sizeof *rests);

        if (rests == NULL)
            return -1;
        life->rests = rests;
        life->rests_size = size;
    }
    life->rests[life->rests_count++] = *blocks;
    return 0;
}

/* Blocks of the file of before mean nothing now. */
static int
read_all_again(struct life *life)
{
    life->pass++;
    life->file = 0;
    life->rows = 0;
    life->rests_count = 0;
    return add_rest(life, &(struct blocks){.open = true});
}

int
lives_begin(struct lives *lives, struct life *life)
{
    life->number = ++lives->last_life;
    life->blocks = life->part->blocks;
    life->step = STEP_FIRST;
    life->state = LIFE_BEGUN;
    return read_all_again(life);
}

void
life_end(struct life *life, enum life_state state)
{
    waiting_free(&life->waiting);
    life->number = 0;
    life->stale = state == LIFE_NEW;
    life->state = state;
}

/* Takes a range of it, if there is one: of a rest that is larger than a step the beginning. */
static bool
take_blocks(struct life *life, struct blocks *blocks)
{
    struct blocks *rest;
    uint64_t to;

    if (life->rests_count == 0)
        return false;
    rest = &life->rests[life->rests_count - 1];
    to = (uint64_t)rest->from.block + life->step;
    *blocks = *rest;
    if (to >= (rest->open ? life->blocks : rest->to) || to > UINT32_MAX) {
        life->rests_count--;
        return true;
    }
    *blocks = (struct blocks){.from = rest->from, .to = (uint32_t)to};
    rest->from = (struct ctid){.block = (uint32_t)to};
    return true;
}

bool
lives_next(struct lives *lives, struct range_order *order)
{
    for (struct life *life = lives->first; life != NULL; life = life->next) {
        struct blocks blocks;

        if (life->state != LIFE_READING || !take_blocks(life, &blocks))
            continue;
        life->in_flight++;
        *order = (struct range_order){.owner = life,
                                      .life = life->number,
                                      .number = ++lives->last_range,
                                      .relation = life->relation,
                                      .hash = &life->hash,
                                      .part = life->part,
                                      .blocks = blocks,
                                      .file = life->file,
                                      .pass = life->pass,
                                      .floor = life->floor};
        return true;
    }
    return false;
}

static void
look_whether_read(struct life *life)
{
    if (life->rests_count == 0 && life->in_flight == 0)
        life->state = LIFE_READ;
}

/* The order is no longer in flight. Its life, or NULL: it means nothing any more. */
static struct life *
take_back(const struct range_order *order)
{
    struct life *life = order->owner;

    life->in_flight--;
    return life->number == order->life && life->pass == order->pass ? life : NULL;
}

int
life_read(const struct range_order *order, const struct ctid *next, const struct range_found *found)
{
    struct life *life = take_back(order);
    struct blocks rest = order->blocks;

    if (life == NULL)
        return 0;
    if (life->file != 0 && life->file != found->file)
        return read_all_again(life);
    life->file = found->file;
    life->blocks = found->blocks;
    life->rows += found->rows;
    if (next == NULL && found->bytes < RANGE_BYTES_MAX / 4 && life->step < STEP_MOST)
        life->step *= 2;
    if (next != NULL) {
        rest.from = *next;
        life->step = life->step / 2 < STEP_LEAST ? STEP_LEAST : life->step / 2;
        if (add_rest(life, &rest) != 0)
            return -1;
    }
    look_whether_read(life);
    return 0;
}

int
life_again(const struct range_order *order)
{
    struct life *life = take_back(order);

    return life == NULL ? 0 : add_rest(life, &order->blocks);
}

int
life_moved(const struct range_order *order)
{
    struct life *life = take_back(order);

    return life == NULL ? 0 : read_all_again(life);
}

bool
life_is_active(const struct life *life)
{
    return life->state >= LIFE_BEGUN && life->state <= LIFE_READ;
}

static void
free_life(struct life *life)
{
    keyhash_free(&life->hash);
    waiting_free(&life->waiting);
    catalog_drop(life->catalog);
    free(life->rests);
    free(life);
}

void
lives_free(struct lives *lives)
{
    for (struct life *life = lives->first, *next; life != NULL; life = next) {
        next = life->next;
        free_life(life);
    }
    relmap_free(&lives->parts);
    *lives = (struct lives){0};
}
