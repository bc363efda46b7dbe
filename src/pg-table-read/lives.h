/* lives.h: the published physical tables, which of them are copied and how far each is: what the
 * next range is, and what becomes of one that was read. Pure: it asks no server and writes nothing.
 *
 * A life is one run of copying one physical table (docs/copy.md). */
#ifndef WALPIPE_PGTABLEREAD_LIVES_H
#define WALPIPE_PGTABLEREAD_LIVES_H

#include "lib/keyhash.h"
#include "lib/relmap.h"
#include "pg-table-read/rangesql.h"
#include "pg-table-read/waiting.h"

enum life_state {
    LIFE_NEW,     /* seen in the catalog */
    LIFE_ASKED,   /* the workers were asked what they have of it */
    LIFE_WANTED,  /* to be copied when its turn comes */
    LIFE_BEGUN,   /* the workers were told of the life; they have not all answered */
    LIFE_WAITING, /* for transactions that are not visible yet */
    LIFE_READING,
    LIFE_READ,   /* no further range, but ranges may have to be read again */
    LIFE_COPIED, /* nothing is left to do */
    LIFE_UNPUBLISHED
};

struct life {
    struct life *next;
    uint64_t number; /* 0 before LIFE_BEGUN */
    enum life_state state;
    bool listed;             /* the last catalog has it */
    bool stale;              /* it has changed since it was described */
    struct catalog *catalog; /* that it was found in: relation and part point into it */
    const struct relation *relation;
    const struct catalog_part *part;
    struct keyhash hash;
    struct waiting waiting;
    uint64_t floor;
    uint32_t file;        /* of all its ranges; 0: none was read yet */
    uint32_t pass;        /* counts how often all ranges had to be read again */
    uint64_t blocks;      /* of the table, as last known */
    uint32_t step;        /* blocks that the next range gets */
    struct blocks *rests; /* what no range covers yet */
    size_t rests_count, rests_size;
    uint32_t
        in_flight; /* ranges that were given out and have not come back, also of earlier lives */
    uint64_t rows; /* of the ranges that were read */
};

struct range_found {
    uint32_t file;
    uint64_t blocks;
    uint64_t rows;
    uint64_t bytes;
};

/* Zero-initialise to use. */
struct lives {
    struct life *first;  /* in the order in which they were found */
    struct relmap parts; /* oid to struct life */
    uint64_t last_life;
    uint64_t last_range;
};

/* Takes what the catalog has now: new parts are added; those without a life and without ranges in
 * flight are described by it from now on; `listed` says of each whether it is there. -1: out of
 * memory. */
int lives_list(struct lives *lives, struct catalog *catalog) MUST_CHECK;

/* Its life begins: LIFE_BEGUN, with a number of its own. -1: out of memory. */
int lives_begin(struct lives *lives, struct life *life) MUST_CHECK;

/* The life ends here: LIFE_NEW where another is to follow, or LIFE_COPIED or LIFE_UNPUBLISHED. What
 * is in flight means nothing any more. */
void life_end(struct life *life, enum life_state state);

/* The next range that may be read: order's life, number, blocks and what they are of. False: there
 * is none now. The life counts it as in flight. */
bool lives_next(struct lives *lives, struct range_order *order);

/* A range was read: `next` is where what is left of it begins; NULL: it was read to its end. What
 * was found: the table's file and blocks; what was read: rows, and their bytes. -1: out of memory.
 */
int life_read(const struct range_order *order, const struct ctid *next,
              const struct range_found *found) MUST_CHECK;

/* It was not read, and is to be read again. -1: out of memory. */
int life_again(const struct range_order *order) MUST_CHECK;

/* The table has another file, so blocks mean other rows: all of it is to be read again. -1: out of
 * memory. */
int life_moved(const struct range_order *order) MUST_CHECK;

/* From LIFE_BEGUN to LIFE_READ. */
bool life_is_active(const struct life *life);
size_t lives_count_active(const struct lives *lives);

void lives_free(struct lives *lives);

#endif
