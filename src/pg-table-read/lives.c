/* lives.c: see lives.h. */
#include "pg-table-read/lives.h"

#include <stdlib.h>
#include <string.h>

#include "lib/copydefinition.h"
#include "pg-table-read/rangeread.h"

/* 512 blocks are 4 MiB of heap. More text comes only from values that are compressed or TOASTed. If
 * a range has much more than RANGE_BYTES_MAX, the reader cancels it. If it has much less, the
 * transaction is hardly worth its cost. */
#define STEP_FIRST 512u
#define STEP_LEAST 8u
#define STEP_MOST  4096u

/* Bytes of rows in a block. If this is far too low for a table, its first range is given up early.
 */
#define DENSITY_FIRST 8192u

/* For a range that was dropped. */
#define REST_FIRST_MILLIS 200
#define REST_MOST_MILLIS  10000

void
life_unsettle(struct life *life)
{
    life->early = life->settled = life->keys_only = false;
    life->reach = 0;
    waiting_free(&life->waiting);
}

void
life_leave(struct life *life)
{
    life_unsettle(life);
    life->wants = (struct crewset){0};
    life->resync = false;
}

static int
add_rest(struct life *life, const struct span *span)
{
    if (life->rests_count == life->rests_size) {
        size_t size = life->rests_size * 2 + 8;
        struct span *rests = realloc(life->rests, size * sizeof *rests);

        if (rests == NULL)
            return -1;
        life->rests = rests;
        life->rests_size = size;
    }
    life->rests[life->rests_count++] = *span;
    return 0;
}

/* Blocks of the earlier file have no meaning any more. */
static int
read_all_again(struct life *life)
{
    life->pass++;
    life->file = 0;
    life->rows = 0;
    life->rests_count = 0;
    return add_rest(life, &(struct span){.open = true});
}

static void
forget_life(struct life *life)
{
    life->crew = (struct crewset){0};
    life->noted = life->called = false;
    life->unreported = 0;
    missing_free(&life->missing);
    spans_free(&life->done);
    free(life->match);
    life->match = NULL;
}

bool
life_is_keyless(const struct life *life)
{
    char identity = life->relation->replica_identity;

    return identity == 'f' || identity == 'n' || catalog_key_columns(life->relation) == 0;
}

int
lives_begin(struct lives *lives, struct life *life)
{
    forget_life(life);
    life->keyless = life_is_keyless(life);
    life->number = ++lives->last_life;
    life->blocks = life->part->measured ? life->part->blocks : UINT32_MAX;
    life->step = STEP_FIRST;
    life->density = DENSITY_FIRST;
    life->backoff =
        (struct backoff){.first_millis = REST_FIRST_MILLIS, .most_millis = REST_MOST_MILLIS};
    life->rest_until = 0;
    life->state = LIFE_BEGUN;
    return read_all_again(life);
}

void
life_end(struct life *life, enum life_state state)
{
    forget_life(life);
    waiting_free(&life->waiting);
    life->ended = life->number;
    life->keys_only = false;
    life->number = 0;
    life->stale = state == LIFE_NEW;
    if (state != LIFE_COPIED)
        life_unsettle(life);
    life->state = state;
}

struct life *
lives_find(const struct lives *lives, uint64_t number)
{
    struct life *life = lives->first;

    while (life != NULL && life->number != number)
        life = life->next;
    return life;
}

/* ---- the workers' notes ---- */

/* Whether the note is about the rows and columns that are published now. */
static bool
holds(const struct life *life, const struct copydetail_state *note)
{
    return note->file != 0 && copydefinition_same(note->definition, life->part->digest);
}

int
life_answer(struct life *life, const struct copydetail_state *note, struct err *err)
{
    struct spans theirs = {0};
    uint32_t file = 0;

    if (note == NULL || life->keyless)
        return 0;
    if (holds(life, note)) {
        file = note->file;
        if (spans_parse(&theirs, note->done, err) != 0)
            return -1;
    }
    if (!life->noted) {
        life->noted = true;
        life->file = file;
        life->done = theirs;
        return 0;
    }
    if (file != life->file) {
        life->file = 0;
        theirs.count = 0;
    }
    if (spans_keep(&life->done, &theirs) != 0)
        err_set(err, EXIT_PEER, "out of memory for finished ranges");
    spans_free(&theirs);
    return err->code == EXIT_DONE ? 0 : -1;
}

static void
look_whether_read(struct life *life)
{
    if (life->state == LIFE_READING && life->rests_count == 0 && life->in_flight == 0 &&
        life->unreported == 0)
        life->state = LIFE_READ;
}

int
life_go(struct life *life)
{
    struct spans gaps = {0};
    int rc = 0;

    if (!life->noted && !life->keyless && spans_add(&life->done, (struct span){.open = true}) != 0)
        return -1;
    life->state = LIFE_GO;
    if (life->done.count == 0) {
        life->file = 0;
        return 0;
    }
    life->rests_count = 0;
    if (spans_gaps(&life->done, &gaps) != 0)
        rc = -1;
    for (size_t i = gaps.count; i > 0 && rc == 0; i--)
        rc = add_rest(life, &gaps.list[i - 1]);
    spans_free(&gaps);
    return rc;
}

void
life_start(struct life *life)
{
    waiting_free(&life->waiting);
    life->called = life->keyless;
    life->state = LIFE_READING;
    look_whether_read(life);
}

/* ---- the next range ---- */

/* Takes the next range of blocks, if there is one. If more blocks are left than one range may have,
 * it takes the first ones. */
static bool
take_blocks(struct life *life, struct span *span)
{
    struct span *rest;
    uint64_t to;

    if (life->rests_count == 0)
        return false;
    rest = &life->rests[life->rests_count - 1];
    to = (uint64_t)rest->from.block + life->step;
    *span = *rest;
    if (to >= (rest->open ? life->blocks : rest->to.block) || to > UINT32_MAX) {
        life->rests_count--;
        return true;
    }
    *span = (struct span){.from = rest->from, .to = {.block = (uint32_t)to}};
    rest->from = span->to;
    return true;
}

/* Takes some missing keys, or the question which are missing. Returns 1, 0 if neither is possible
 * now, or -1. */
static int
take_keys(struct life *life, struct range_order *order)
{
    uint32_t columns = catalog_key_columns(life->relation);

    if (missing_has_some(&life->missing)) {
        life->called = false;
        order->kind = RANGE_KEYS;
        return missing_take(&life->missing, columns, &order->keys) == 0 ? 1 : -1;
    }
    if (life->called || life->in_flight > 0 || life->unreported > 0)
        return 0;
    life->called = true;
    order->kind = RANGE_ASKS;
    return 1;
}

static int
take(struct life *life, struct range_order *order)
{
    *order = (struct range_order){.owner = life,
                                  .life = life->number,
                                  .relation = life->relation,
                                  .hash = &life->hash,
                                  .part = life->part,
                                  .match = life->match,
                                  .file = life->file,
                                  .blocks = life->blocks,
                                  .density = life->density,
                                  .pass = life->pass,
                                  .floor = life->floor,
                                  .snapshot = life->keyless ? life->snapshot : NULL,
                                  .mark = life->mark};
    if (life->state == LIFE_READ)
        return take_keys(life, order);
    order->kind = RANGE_BLOCKS;
    return life->state == LIFE_READING && take_blocks(life, &order->span);
}

int
lives_next(struct lives *lives, uint64_t now, struct range_order *order)
{
    int found = 0;

    for (struct life *life = lives->first; life != NULL && found == 0; life = life->next) {
        if (now < life->rest_until || (life_is_quiet(life) && lives_have_unread(lives, life)))
            continue;
        found = take(life, order);
        if (found != 1)
            continue;
        life->in_flight++;
        order->number = lives->last_range + 1;
        lives->last_range += RANGE_PIECES_MAX + 1;
    }
    return found;
}

/* ---- the results of ranges ---- */

/* Whether the range still counts. */
static bool
counts(const struct range_order *order)
{
    const struct life *life = order->owner;

    return life->number == order->life &&
           (order->kind != RANGE_BLOCKS || life->pass == order->pass);
}

/* Its blocks or keys must be read again. */
static int
give_back(struct range_order *order)
{
    struct life *life = order->owner;
    struct buf *keys = &order->keys.keys;

    if (!counts(order))
        return 0;
    if (order->kind == RANGE_BLOCKS)
        return add_rest(life, &order->span);
    life->called = false;
    buf_append(&life->missing.keys, keys->data + keys->start, buf_len(keys));
    return life->missing.keys.failed ? -1 : 0;
}

/* The size of the next range follows from this one. */
static void
adapt(struct life *life, bool cut, const struct range_found *found)
{
    if (!cut && found->bytes < RANGE_BYTES_MAX / 4 && life->step < STEP_MOST)
        life->step *= 2;
    if (cut)
        life->step = life->step / 2 < STEP_LEAST ? STEP_LEAST : life->step / 2;
}

/* After a range that had too many bytes, only a range with ctids shows the bytes per block. */
static void
measure(struct life *life, const struct range_order *order, const struct ctid *next,
        const struct range_found *found)
{
    uint64_t end = next != NULL       ? next->block
                   : order->span.open ? found->blocks
                                      : order->span.to.block;

    if (end > order->span.from.block && (life->density > 0 || order->piece_blocks == 0))
        life->density = found->bytes / (end - order->span.from.block) + 1;
}

static int
blocks_read(struct range_order *order, const struct range_left *left,
            const struct range_found *found)
{
    struct life *life = order->owner;
    struct span rest = order->span;

    if (life->file != 0 && life->file != found->file)
        return read_all_again(life) == 0 ? 0 : -1;
    life->file = found->file;
    life->blocks = found->blocks;
    measure(life, order, left == NULL ? NULL : left->next, found);
    adapt(life, left != NULL, found);
    if (left != NULL) {
        rest.from = *left->next;
        order->span.to = *left->next;
        order->span.open = false;
        if (add_rest(life, &rest) != 0)
            return -1;
    }
    return 1;
}

/* Keys that were not answered are still missing. */
static int
keys_read(struct range_order *order, const struct range_left *left)
{
    struct buf *missing = &((struct life *)order->owner)->missing.keys;

    if (left == NULL)
        return 1;
    buf_append(missing, left->keys->keys.data, buf_len(&left->keys->keys));
    return missing->failed ? -1 : 1;
}

int
life_read(struct range_order *order, const struct range_left *left, const struct range_found *found)
{
    struct life *life = order->owner;
    int rc;

    life->in_flight--;
    if (!counts(order))
        return 0;
    rc = order->kind == RANGE_BLOCKS ? blocks_read(order, left, found) : keys_read(order, left);
    if (rc != 1)
        return rc;
    life->rows += found->rows;
    life->unreported++;
    return 1;
}

void
life_split(struct range_order *order, const struct ctid *to, struct range_order *piece)
{
    struct life *life = order->owner;

    *piece = *order;
    piece->keys = (struct keybatch){0};
    piece->span.to = order->span.from = *to;
    piece->span.open = false;
    life->unreported++;
}

void
life_reported(const struct range_order *order)
{
    struct life *life = order->owner;

    life->unreported--;
    backoff_forget(&life->backoff);
    look_whether_read(life);
}

/* Ranges that were in flight together count as one failure. */
int
life_dropped(struct range_order *order, uint64_t now)
{
    struct life *life = order->owner;

    if (life->keyless) {
        life->state = LIFE_CHANGED;
        return 0;
    }
    if (give_back(order) != 0)
        return -1;
    life->unreported--;
    look_whether_read(life);
    if (now >= life->rest_until)
        life->rest_until = now + backoff_next(&life->backoff, backoff_random()) * 1000;
    return 0;
}

int
life_again(struct range_order *order)
{
    struct life *life = order->owner;

    life->in_flight--;
    return give_back(order);
}

int
life_dense(struct range_order *order)
{
    struct life *life = order->owner;

    life->density = 0;
    return life_again(order);
}

int
life_moved(const struct range_order *order)
{
    struct life *life = order->owner;

    life->in_flight--;
    if (!counts(order))
        return 0;
    if (!life->keyless)
        return read_all_again(life);
    life->state = LIFE_CHANGED;
    return 0;
}

bool
life_is_finished(const struct life *life)
{
    return life->state == LIFE_READ && life->called && !missing_has_some(&life->missing) &&
           life->in_flight == 0 && life->unreported == 0;
}

/* Workers may miss rows of this part. */
static bool
is_unread(const struct life *life)
{
    return life->listed && !life->keys_only && life->state != LIFE_LEAVING &&
           life->state < LIFE_READ;
}

bool
lives_have_unread(const struct lives *lives, const struct life *life)
{
    for (const struct life *other = lives->first; other != NULL; other = other->next)
        if (other != life && other->part->relid == life->part->relid && is_unread(other))
            return true;
    return false;
}

bool
life_is_quiet(const struct life *life)
{
    return life->state == LIFE_READ && !life->called && !missing_has_some(&life->missing) &&
           life->in_flight == 0 && life->unreported == 0;
}

size_t
lives_count_active(const struct lives *lives)
{
    size_t count = 0;

    for (const struct life *life = lives->first; life != NULL; life = life->next)
        count += life_is_active(life);
    return count;
}

bool
life_is_active(const struct life *life)
{
    return life->state >= LIFE_BEGUN && life->state <= LIFE_READ;
}

static void
free_life(struct life *life)
{
    forget_life(life);
    keyhash_free(&life->hash);
    waiting_free(&life->waiting);
    catalog_drop(life->catalog);
    free(life->rests);
    free(life->kept);
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
