/* model_copy.h: the rules of docs/copy.md, in the smallest world in which they matter. It has one
 * row of a table, two keys that the row may have, two ranges in which it may lie, and three
 * transactions. The part of the sink is here. model_copy.c is the world around it.
 *
 * Each rule can be switched off, which must lead to a wrong end.
 *
 * Transactions are numbered from 1 in the order of their commits. All change the same row, so each
 * sees the one before it. So they become visible in that order too, and a snapshot is the number of
 * the last transaction that it contains. */
#ifndef WALPIPE_TEST_MODEL_COPY_H
#define WALPIPE_TEST_MODEL_COPY_H

#include <stdbool.h>
#include <stdint.h>

enum { LAST = 3, KEYS = 2, WORKERS_MAX = 2, RANGES = 2, REREAD = RANGES, READS };

enum rule {
    NO_RULE,
    WAIT_FOR_LISTED,    /* the transactions of the first snapshot end before a range is read */
    LIST_AFTER_BEGIN,   /* that snapshot is taken when every worker tracks, not before */
    WAIT_AFTER_RESTART, /* a life that begins again waits again */
    FOLLOW_WAITING,     /* a table that had a life is followed until the next one begins */
    TRACK,              /* keys of changes are remembered */
    TRACK_DELETES,      /* also of deletes */
    TRACK_OLD_KEY,      /* also the key that a row leaves */
    TELL_OTHERS,        /* also in the worker that had the row, or its part of the table */
    STAND_STILL,        /* a worker writes no range between a barrier and the change behind it */
    BY_SNAPSHOT,        /* the snapshot decides about a range's contents, not the LSN */
    HOLD,               /* a range waits until its mark has come through the stream */
    UPSERT,             /* an update of a row that the target lacks inserts it */
    LAY_OVER,           /* partial updates are laid over the copied row */
    KEEP_MISSING,       /* keys of partial updates that found no row are kept, durably */
    READ_KEYS_AGAIN,    /* and read again */
    LOCK_FIRST,         /* the table is locked before the snapshot is taken */
    COMPARE_FILES,      /* ranges of another file than the newest are read again */
    FORGET_LATE,        /* a key is remembered while a range that waits lacks the change */
    FORGET_ON_ORDER,    /* and while one may come that lacks it, according to the reader */
    FORGET_SEEN,        /* which reports that only for changes that a snapshot contained */
    GIVE_UP_RANGES,  /* no range is written that lacks a change whose keys did not fit in memory */
    ALL_FINISH,      /* a range is finished when every worker has written its part */
    DROP_ON_RESTART, /* ranges in flight do not survive the window */
    DROP_ON_SOURCE,  /* nor the source's crash */
    RULES
};

enum op { NOTHING, INSERT, UPDATE, PARTIAL, REKEY, REKEY_PARTIAL, DELETE, TRUNCATE, OPS };

/* v and big hold the number of the transaction that wrote them. big is the TOASTed one. */
struct row {
    uint8_t there, key, place, v, big;
};

struct change {
    uint8_t op, old_key;
};

enum read_state { IDLE, SNAPPED, READ, ARRIVED, FINISHED };

struct read {
    uint8_t state;
    uint8_t seen;    /* its snapshot */
    uint8_t mark;    /* commits in the WAL when the snapshot had been taken */
    uint8_t file;    /* the table's file */
    uint8_t written; /* by which workers */
    uint8_t dropped; /* the workers that dropped it, so that it is read again */
    uint8_t asked;   /* the keys, when they are read again */
    struct row row;
};

/* A key in the target. missing is set if a partial update found no row (walpipe.missing). */
struct target {
    uint8_t there, v, big, missing;
};

/* A worker's memory of a key, as bits of transactions. */
struct tracked {
    uint8_t whole, partial;
};

enum life { NO_LIFE, LISTED_EARLY, BEGUN, LISTED, READY };

/* Bytes only, so that two states are equal if their bytes are. */
struct state {
    /* the source */
    struct row rows[LAST + 1]; /* after each transaction */
    struct change changes[LAST + 1];
    uint8_t committed, visible; /* the last transaction that is */
    uint8_t file;
    uint8_t had; /* crashes, rewrites and full memories */
    /* the reader */
    uint8_t life, listed;
    struct read reads[READS];
    /* the sink's memory */
    struct tracked tracked[KEYS];
    uint8_t given_up[WORKERS_MAX]; /* changes whose keys did not fit */
    uint8_t untold; /* the last change was applied, and the other worker stands at its barrier */
    /* the target */
    uint8_t started; /* the table is one that is being copied */
    uint8_t lived;   /* it had a life already */
    uint8_t reached; /* the last transaction that is there, which is the progress */
    struct target target[KEYS];
};

/* Which world is looked at. */
static enum rule off;
static uint32_t workers;
static uint8_t transactions;
static uint8_t mishaps; /* crashes, rewrites and full memories */
static bool moving;     /* a new version of the row may lie in the other range */

static void
world_is(uint32_t of_workers, uint8_t of_transactions, uint8_t of_mishaps, bool rows_move,
         enum rule without)
{
    workers = of_workers;
    transactions = of_transactions;
    mishaps = of_mishaps;
    moving = rows_move;
    off = without;
}

static bool
on(enum rule rule)
{
    return off != rule;
}

static uint32_t
owner(uint32_t key)
{
    return key % workers;
}

/* Bits of the transactions after `number`. */
static uint8_t
after(uint8_t number)
{
    return (uint8_t)(0xff << (number + 1));
}

static bool
moves(uint8_t op)
{
    return op == REKEY || op == REKEY_PARTIAL;
}

/* ---- a change comes ---- */

static void
track(struct state *s, uint32_t key, uint8_t number, bool whole)
{
    if (!on(TRACK) || s->life < BEGUN)
        return;
    if (whole)
        s->tracked[key].whole |= (uint8_t)(1 << number);
    else
        s->tracked[key].partial |= (uint8_t)(1 << number);
}

static uint32_t
applier_of(const struct state *s, uint8_t number)
{
    const struct change *change = &s->changes[number];

    if (change->op == TRUNCATE)
        return 0;
    return owner(change->op == DELETE ? change->old_key : s->rows[number].key);
}

/* A key that the change takes the row from. */
static bool
leaves(const struct change *change, uint32_t key)
{
    return change->op == TRUNCATE ||
           ((change->op == DELETE || moves(change->op)) && change->old_key == key);
}

/* The worker tracks the keys of its own that the row leaves. */
static void
track_gone(struct state *s, uint8_t number, uint32_t worker)
{
    const struct change *change = &s->changes[number];

    if ((change->op == DELETE && !on(TRACK_DELETES)) || (moves(change->op) && !on(TRACK_OLD_KEY)))
        return;
    for (uint32_t key = 0; key < KEYS; key++)
        if (leaves(change, key) && owner(key) == worker)
            track(s, key, number, true);
}

static void
apply_row(struct state *s, uint8_t number, const struct target *base, bool partial)
{
    const struct row *row = &s->rows[number];
    struct target *target = &s->target[row->key];
    bool whole = !partial || base->there;

    if (whole)
        *target = (struct target){1, row->v, partial ? base->big : row->big, 0};
    else
        target->missing = on(KEEP_MISSING);
}

/* The row after the change `number` goes into the target, and its keys are remembered. */
static void
apply(struct state *s, uint8_t number)
{
    const struct change *change = &s->changes[number];
    const struct row *row = &s->rows[number];
    bool partial = change->op == PARTIAL || change->op == REKEY_PARTIAL;
    struct target base = s->target[change->old_key];

    for (uint32_t key = 0; key < KEYS; key++)
        if (leaves(change, key))
            s->target[key] = (struct target){0};
    track_gone(s, number, applier_of(s, number));
    if (!row->there)
        return;
    if (on(UPSERT) || change->op == INSERT || base.there)
        apply_row(s, number, &base, partial);
    track(s, row->key, number, change->op != PARTIAL);
}

/* The change concerned the other worker, which now hears of it. Before, it stood at a barrier. */
static bool
concerns_other(const struct state *s, uint8_t number)
{
    const struct change *change = &s->changes[number];

    for (uint32_t key = 0; key < KEYS; key++)
        if (leaves(change, key) && owner(key) != applier_of(s, number))
            return true;
    return false;
}

static void
tell_other(struct state *s)
{
    track_gone(s, s->reached, !applier_of(s, s->reached));
    s->untold = 0;
}

/* ---- a range is written ---- */

/* The last transaction that the range is taken to contain. */
static uint8_t
contained(const struct read *read)
{
    return on(BY_SNAPSHOT) ? read->seen : read->mark;
}

/* The workers that have reported the result of their part. */
static uint8_t
reported(const struct read *read)
{
    return read->written | read->dropped;
}

static bool
may_write(const struct state *s, const struct read *read, uint32_t worker)
{
    bool stands = s->untold && worker != applier_of(s, s->reached);
    uint8_t position = (uint8_t)(s->reached - (stands ? 1 : 0));

    if (read->state != ARRIVED || reported(read) & 1 << worker || (stands && on(STAND_STILL)))
        return false;
    return !on(HOLD) || position >= read->mark;
}

/* The partial updates that the copied row lacks are laid over it, in their order. */
static void
write_row(struct state *s, const struct read *read)
{
    struct target *target = &s->target[read->row.key];
    const struct tracked *tracked = &s->tracked[read->row.key];
    uint8_t lacks = after(contained(read));
    struct target copied = {1, read->row.v, read->row.big, 0};

    if (tracked->whole & lacks)
        return;
    if (tracked->partial & lacks && (target->there || !on(LAY_OVER)))
        return;
    for (uint8_t number = 1; number <= LAST; number++)
        if (tracked->partial & lacks & 1 << number)
            copied.v = number;
    *target = copied;
}

/* A key that was asked for and is not there. A row of it would have been wrong before. */
static void
write_absent(struct state *s, const struct read *read, uint32_t key)
{
    const struct tracked *tracked = &s->tracked[key];

    if (((tracked->whole | tracked->partial) & after(contained(read))) == 0)
        s->target[key].missing = 0;
}

static void
write_part(struct state *s, struct read *read, uint32_t worker)
{
    if (s->given_up[worker] & after(contained(read)) && on(GIVE_UP_RANGES)) {
        read->dropped |= (uint8_t)(1 << worker);
        return;
    }
    for (uint32_t key = 0; key < KEYS; key++)
        if (owner(key) == worker && read->row.there && read->row.key == key)
            write_row(s, read);
        else if (owner(key) == worker && read->asked & 1 << key)
            write_absent(s, read, key);
    read->written |= (uint8_t)(1 << worker);
}

/* ---- a change may be forgotten ---- */

/* The last transaction that all ranges still to come contain, as the reader reports it. It reports
 * it late, which does no harm. */
static uint8_t
horizon(const struct state *s)
{
    uint8_t lowest = s->visible, newest = 0;

    for (uint32_t i = 0; i < READS; i++) {
        const struct read *read = &s->reads[i];

        if ((read->state == SNAPPED || read->state == READ) && read->seen < lowest)
            lowest = read->seen;
        if (read->state == ARRIVED && read->seen > newest)
            newest = read->seen;
    }
    if (!on(FORGET_SEEN))
        return LAST;
    return on(FORGET_ON_ORDER) ? lowest : newest;
}

static bool
may_forget(const struct state *s, uint8_t number, uint32_t worker)
{
    for (uint32_t i = 0; i < READS && on(FORGET_LATE); i++)
        if (s->reads[i].state == ARRIVED && !(reported(&s->reads[i]) & 1 << worker) &&
            number > s->reads[i].seen)
            return false;
    return number <= horizon(s);
}

static void
forget(struct state *s)
{
    for (uint8_t number = 1; number <= LAST; number++) {
        uint8_t others = (uint8_t) ~(1 << number);

        for (uint32_t worker = 0; worker < workers; worker++)
            if (may_forget(s, number, worker))
                s->given_up[worker] &= others;
        for (uint32_t key = 0; key < KEYS; key++)
            if (may_forget(s, number, owner(key))) {
                s->tracked[key].whole &= others;
                s->tracked[key].partial &= others;
            }
    }
}

/* The worker's memory is full. It remembers the transactions in place of their keys. */
static bool
give_up(struct state *s, uint32_t worker)
{
    uint8_t before = s->given_up[worker];

    for (uint32_t key = 0; key < KEYS; key++)
        if (owner(key) == worker) {
            s->given_up[worker] |= s->tracked[key].whole | s->tracked[key].partial;
            s->tracked[key] = (struct tracked){0};
        }
    return s->given_up[worker] != before;
}

#endif
