/* tracked.c: see tracked.h. The changes are in one array in the stream's order. Their keys and
 * values are in one buffer in the same order, so that forgetting moves both together in place. */
#include "lib/tracked.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/limits.h"

/* ---- transactions without keys ---- */

static int
add_xid(struct tracked_xids *xids, uint32_t relid, uint32_t xid)
{
    const struct tracked_xid *last = xids->count > 0 ? &xids->list[xids->count - 1] : NULL;

    if (last != NULL && last->relid == relid && last->xid == xid)
        return 0;
    if (xids->count == xids->size) {
        size_t size = xids->size > 0 ? xids->size * 2 : 64;
        struct tracked_xid *grown = realloc(xids->list, size * sizeof *grown);

        if (grown == NULL)
            return -1;
        xids->list = grown;
        xids->size = size;
    }
    xids->list[xids->count++] = (struct tracked_xid){relid, xid};
    return 0;
}

static bool
lacks_any(const struct tracked_xids *xids, uint32_t relid, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < xids->count; i++)
        if (xids->list[i].relid == relid && !snapshot_contains(snapshot, xids->list[i].xid))
            return true;
    return false;
}

static int
compare_xids(const void *a, const void *b)
{
    const struct tracked_xid *left = a, *right = b;

    if (left->relid != right->relid)
        return left->relid < right->relid ? -1 : 1;
    return left->xid < right->xid ? -1 : left->xid > right->xid;
}

/* Keeps one entry per table and transaction. The order has no meaning here. */
static void
unite_xids(struct tracked_xids *xids)
{
    size_t kept = 0;

    if (xids->count == 0)
        return;
    qsort(xids->list, xids->count, sizeof *xids->list, compare_xids);
    for (size_t i = 1; i < xids->count; i++)
        if (compare_xids(&xids->list[kept], &xids->list[i]) != 0)
            xids->list[++kept] = xids->list[i];
    xids->count = kept + 1;
}

/* ---- changes with keys ---- */

static struct tracked_slot *
slot_of(const struct tracked *t, uint32_t relid, struct bytes key)
{
    uint64_t h = hash_bytes(HASH_SEED, &relid, sizeof relid);

    return &t->slots[hash_finish(hash_bytes(h, key.data, key.len)) % TRACKED_SLOTS];
}

static struct bytes
key_of(const struct tracked *t, const struct tracked_change *change)
{
    return (struct bytes){t->bytes.data + change->key, change->key_len};
}

static void
link_change(struct tracked *t, uint32_t number)
{
    struct tracked_change *change = &t->changes[number - 1];
    struct tracked_slot *slot = slot_of(t, change->relid, key_of(t, change));

    change->next = 0;
    if (slot->first == 0)
        slot->first = number;
    else
        t->changes[slot->last - 1].next = number;
    slot->last = number;
}

static bool
is_of(const struct tracked *t, const struct tracked_change *change, uint32_t relid,
      struct bytes key)
{
    return change->relid == relid && change->key_len == key.len &&
           (key.len == 0 || memcmp(t->bytes.data + change->key, key.data, key.len) == 0);
}

static int
make_room(struct tracked *t)
{
    struct tracked_change *grown;
    uint32_t size = t->size > 0 ? t->size * 2 : 256;

    if (t->slots == NULL)
        t->slots = calloc(TRACKED_SLOTS, sizeof *t->slots);
    if (t->slots == NULL)
        return -1;
    if (t->count < t->size)
        return 0;
    grown = realloc(t->changes, size * sizeof *grown);
    if (grown == NULL)
        return -1;
    t->changes = grown;
    t->size = size;
    return 0;
}

static void
forget_keys(struct tracked *t)
{
    t->count = 0;
    buf_reset(&t->bytes, IO_CHUNK);
    if (t->slots != NULL)
        memset(t->slots, 0, TRACKED_SLOTS * sizeof *t->slots);
}

static int
give_up(struct tracked *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (add_xid(&t->given_up, t->changes[i].relid, t->changes[i].xid) != 0)
            return -1;
    unite_xids(&t->given_up);
    forget_keys(t);
    return 0;
}

static int
add_change(struct tracked *t, struct tracked_change change, struct bytes key, struct bytes values)
{
    size_t needs = sizeof change + key.len + values.len;

    if (needs > TRACKED_BYTES_MAX)
        return add_xid(&t->given_up, change.relid, change.xid);
    if (tracked_bytes(t) + needs > TRACKED_BYTES_MAX && give_up(t) != 0)
        return -1;
    if (make_room(t) != 0 || buf_reserve(&t->bytes, key.len + values.len) != 0)
        return -1;
    change.key = (uint32_t)t->bytes.end;
    change.key_len = (uint32_t)key.len;
    change.values_len = (uint32_t)values.len;
    buf_append(&t->bytes, key.data, key.len);
    buf_append(&t->bytes, values.data, values.len);
    t->changes[t->count++] = change;
    link_change(t, t->count);
    return 0;
}

int
tracked_whole(struct tracked *t, uint32_t relid, uint32_t xid, struct bytes key)
{
    return add_change(t, (struct tracked_change){.relid = relid, .xid = xid}, key,
                      (struct bytes){0});
}

int
tracked_partial(struct tracked *t, uint32_t relid, uint32_t xid, struct bytes key,
                struct bytes values)
{
    return add_change(t, (struct tracked_change){.relid = relid, .xid = xid, .partial = true}, key,
                      values);
}

int
tracked_truncate(struct tracked *t, uint32_t relid, uint32_t xid)
{
    return add_xid(&t->truncates, relid, xid);
}

int
tracked_relation(struct tracked *t, uint32_t relid, uint32_t xid)
{
    return add_xid(&t->given_up, relid, xid);
}

/* ---- a range is written ---- */

bool
tracked_must_drop(const struct tracked *t, uint32_t relid, const struct snapshot *snapshot)
{
    return lacks_any(&t->given_up, relid, snapshot);
}

/* The number of the next change of the key that snapshot lacks, behind the change number `at` (0
 * for the first). 0 if there is none. */
static uint32_t
next_lacking(const struct tracked *t, uint32_t relid, struct bytes key,
             const struct snapshot *snapshot, uint32_t at)
{
    if (t->count == 0)
        return 0;
    at = at == 0 ? slot_of(t, relid, key)->first : t->changes[at - 1].next;
    for (; at != 0; at = t->changes[at - 1].next) {
        const struct tracked_change *change = &t->changes[at - 1];

        if (is_of(t, change, relid, key) && !snapshot_contains(snapshot, change->xid))
            break;
    }
    return at;
}

bool
tracked_is_empty(const struct tracked *t)
{
    return t->count == 0 && t->truncates.count == 0;
}

enum tracked_verdict
tracked_judge(const struct tracked *t, uint32_t relid, struct bytes key,
              const struct snapshot *snapshot)
{
    enum tracked_verdict verdict = TRACKED_WRITE;
    uint32_t at = 0;

    if (lacks_any(&t->truncates, relid, snapshot))
        return TRACKED_SKIP;
    while ((at = next_lacking(t, relid, key, snapshot, at)) != 0) {
        if (!t->changes[at - 1].partial)
            return TRACKED_SKIP;
        verdict = TRACKED_LAY_OVER;
    }
    return verdict;
}

bool
tracked_next(const struct tracked *t, uint32_t relid, struct bytes key,
             const struct snapshot *snapshot, uint32_t *at, struct bytes *values)
{
    const struct tracked_change *change;
    uint32_t next = *at;

    do
        next = next_lacking(t, relid, key, snapshot, next);
    while (next != 0 && !t->changes[next - 1].partial);
    if (next == 0)
        return false;
    change = &t->changes[next - 1];
    *values = (struct bytes){t->bytes.data + change->key + change->key_len, change->values_len};
    *at = next;
    return true;
}

/* ---- forgetting ---- */

/* The changes to forget, of a table that ended, or of transactions that all of these snapshots
 * contain. */
struct past {
    bool ended;
    uint32_t relid;
    const struct snapshot *horizon;
    const struct snapshot *const *held;
    size_t held_count;
};

static bool
is_past(const struct past *past, uint32_t relid, uint32_t xid)
{
    if (past->ended)
        return relid == past->relid;
    for (size_t i = 0; i < past->held_count; i++)
        if (!snapshot_contains(past->held[i], xid))
            return false;
    return snapshot_contains(past->horizon, xid);
}

static void
forget_xids(struct tracked_xids *xids, const struct past *past)
{
    size_t kept = 0;

    for (size_t i = 0; i < xids->count; i++)
        if (!is_past(past, xids->list[i].relid, xids->list[i].xid))
            xids->list[kept++] = xids->list[i];
    xids->count = kept;
}

static void
forget_changes(struct tracked *t, const struct past *past)
{
    uint32_t before = t->count, end = 0;

    if (before == 0)
        return;
    t->count = 0;
    memset(t->slots, 0, TRACKED_SLOTS * sizeof *t->slots);
    for (uint32_t i = 0; i < before; i++) {
        struct tracked_change change = t->changes[i];
        uint32_t len = change.key_len + change.values_len;

        if (is_past(past, change.relid, change.xid))
            continue;
        if (len > 0)
            memmove(t->bytes.data + end, t->bytes.data + change.key, len);
        change.key = end;
        end += len;
        t->changes[t->count++] = change;
        link_change(t, t->count);
    }
    t->bytes.end = end;
}

static void
forget(struct tracked *t, const struct past *past)
{
    forget_xids(&t->truncates, past);
    forget_xids(&t->given_up, past);
    forget_changes(t, past);
}

void
tracked_forget(struct tracked *t, const struct snapshot *horizon,
               const struct snapshot *const *held, size_t held_count)
{
    forget(t, &(struct past){.horizon = horizon, .held = held, .held_count = held_count});
}

void
tracked_end(struct tracked *t, uint32_t relid)
{
    forget(t, &(struct past){.ended = true, .relid = relid});
}

size_t
tracked_bytes(const struct tracked *t)
{
    return t->count * sizeof *t->changes + buf_len(&t->bytes);
}

void
tracked_free(struct tracked *t)
{
    free(t->changes);
    free(t->slots);
    free(t->truncates.list);
    free(t->given_up.list);
    buf_free(&t->bytes);
    *t = (struct tracked){0};
}
