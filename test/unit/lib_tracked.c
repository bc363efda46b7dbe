/* lib_tracked.c: a worker's memory of changes while tables are copied. Each rule alone, then random
 * changes against a list that is searched from its beginning.
 * links: lib/tracked lib/hash lib/snapshot lib/pack lib/cursor lib/buf lib/err */
#include <stdlib.h>
#include <string.h>

#include "lib/tracked.h"

#include "check.h"

enum { TABLE = 7, OTHER_TABLE = 8, XMAX = 100 };

static struct bytes
text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

/* All below xmax has ended. */
static struct snapshot
up_to(uint64_t xmax)
{
    return (struct snapshot){.xmin = xmax, .xmax = xmax};
}

static enum tracked_verdict
judge(const struct tracked *t, const char *key, uint64_t xmax)
{
    struct snapshot s = up_to(xmax);

    return tracked_judge(t, TABLE, text(key), &s);
}

static bool
must_drop(const struct tracked *t, uint32_t relid, uint64_t xmax)
{
    struct snapshot s = up_to(xmax);

    return tracked_must_drop(t, relid, &s);
}

static void
test_verdicts(void)
{
    struct tracked t = {0};
    uint64_t running = 10;
    struct snapshot runs = {10, 20, 1, &running};

    check(tracked_is_empty(&t) && judge(&t, "a", 1) == TRACKED_WRITE,
          "nothing is tracked: a row is written");
    check(tracked_whole(&t, TABLE, 10, text("a")) == 0 &&
              tracked_partial(&t, TABLE, 11, text("b"), text("v11")) == 0,
          "changes of two keys");
    check(!tracked_is_empty(&t), "then each key must be looked for");
    check(judge(&t, "a", 10) == TRACKED_SKIP && judge(&t, "a", 11) == TRACKED_WRITE,
          "a row that lacks a whole change is left out, one that contains it is written");
    check(tracked_judge(&t, TABLE, text("a"), &runs) == TRACKED_SKIP,
          "the list of the snapshot decides, too");
    check(judge(&t, "b", 11) == TRACKED_LAY_OVER && judge(&t, "b", 12) == TRACKED_WRITE,
          "a partial update is laid over a row that lacks it");
    check(judge(&t, "c", 1) == TRACKED_WRITE && judge(&t, "ab", 1) == TRACKED_WRITE &&
              tracked_judge(&t, OTHER_TABLE, text("a"), &runs) == TRACKED_WRITE,
          "other keys, and the same key of another table, are not concerned");
    check(tracked_whole(&t, TABLE, 12, text("b")) == 0 && judge(&t, "b", 11) == TRACKED_SKIP &&
              judge(&t, "b", 12) == TRACKED_SKIP,
          "a whole change wins over partial updates");
    check(tracked_truncate(&t, TABLE, 13) == 0 && judge(&t, "c", 13) == TRACKED_SKIP &&
              judge(&t, "c", 14) == TRACKED_WRITE &&
              tracked_judge(&t, OTHER_TABLE, text("a"), &runs) == TRACKED_WRITE,
          "a TRUNCATE concerns all keys of its table");
    check(!must_drop(&t, TABLE, 1), "no range is dropped for what is remembered with its key");
    check(tracked_relation(&t, TABLE, 14) == 0 && must_drop(&t, TABLE, 14) &&
              !must_drop(&t, TABLE, 15) && !must_drop(&t, OTHER_TABLE, 1),
          "a range that lacks a changed description is dropped");
    tracked_end(&t, OTHER_TABLE);
    check(judge(&t, "a", 10) == TRACKED_SKIP && must_drop(&t, TABLE, 14),
          "all is left when the life of another table ends");
    tracked_end(&t, TABLE);
    check(judge(&t, "a", 1) == TRACKED_WRITE && !must_drop(&t, TABLE, 1) && tracked_is_empty(&t) &&
              tracked_bytes(&t) == 0,
          "nothing is left when the life ends");
    check(tracked_truncate(&t, TABLE, 13) == 0 && !tracked_is_empty(&t),
          "a TRUNCATE alone must be looked for, too");
    tracked_free(&t);
}

static bool
is_next(const struct tracked *t, const struct snapshot *s, uint32_t *at, const char *expected)
{
    struct bytes values;

    return tracked_next(t, TABLE, text("k"), s, at, &values) && values.len == strlen(expected) &&
           memcmp(values.data, expected, values.len) == 0;
}

static void
test_partial_updates(void)
{
    struct tracked t = {0};
    struct snapshot s = up_to(11);
    struct bytes values;
    uint32_t at = 0;

    check(tracked_partial(&t, TABLE, 10, text("k"), text("ten")) == 0 &&
              tracked_partial(&t, TABLE, 12, text("k"), text("twelve")) == 0 &&
              tracked_partial(&t, TABLE, 12, text("kk"), text("other")) == 0 &&
              tracked_partial(&t, TABLE, 11, text("k"), text("")) == 0,
          "partial updates, the higher xid commits first");
    check(is_next(&t, &s, &at, "twelve") && is_next(&t, &s, &at, "") &&
              !tracked_next(&t, TABLE, text("k"), &s, &at, &values),
          "those that the snapshot lacks come in the stream's order");
    tracked_free(&t);
}

static void
test_forgetting(void)
{
    struct tracked t = {0};
    struct snapshot horizon = up_to(12), old = up_to(11), newer = up_to(20);
    const struct snapshot *held[] = {&newer, &old};

    check(tracked_whole(&t, TABLE, 10, text("a")) == 0 &&
              tracked_whole(&t, TABLE, 11, text("b")) == 0 &&
              tracked_partial(&t, TABLE, 12, text("c"), text("v")) == 0 &&
              tracked_truncate(&t, OTHER_TABLE, 11) == 0 &&
              tracked_relation(&t, OTHER_TABLE, 11) == 0,
          "changes of three transactions");
    tracked_forget(&t, &horizon, held, 2);
    check(judge(&t, "a", 1) == TRACKED_WRITE, "what horizon and held ranges contain is forgotten");
    check(judge(&t, "b", 1) == TRACKED_SKIP && must_drop(&t, OTHER_TABLE, 11) &&
              tracked_judge(&t, OTHER_TABLE, text("a"), &old) == TRACKED_SKIP,
          "what a held range lacks is remembered");
    tracked_forget(&t, &horizon, NULL, 0);
    check(judge(&t, "b", 1) == TRACKED_WRITE && !must_drop(&t, OTHER_TABLE, 11) &&
              tracked_judge(&t, OTHER_TABLE, text("a"), &old) == TRACKED_WRITE,
          "it is forgotten when the range is not held any more");
    check(judge(&t, "c", 12) == TRACKED_LAY_OVER, "what the horizon lacks is remembered");
    tracked_free(&t);
}

/* A change that takes exactly `bytes` of the maximum. */
static int
add_of(struct tracked *t, uint32_t xid, const char *key, const uint8_t *zeros, size_t bytes)
{
    struct bytes values = {zeros, bytes - sizeof(struct tracked_change) - strlen(key)};

    return tracked_partial(t, TABLE, xid, text(key), values);
}

static void
test_maximum(void)
{
    struct tracked t = {0};
    uint8_t *zeros = calloc(1, TRACKED_BYTES_MAX + 1);

    check(zeros != NULL && add_of(&t, 10, "a", zeros, TRACKED_BYTES_MAX - 1000) == 0 &&
              add_of(&t, 11, "b", zeros, 1000) == 0 && tracked_bytes(&t) == TRACKED_BYTES_MAX &&
              judge(&t, "a", 10) == TRACKED_LAY_OVER && !must_drop(&t, TABLE, 10),
          "keys and values of the maximum are kept");
    check(tracked_whole(&t, TABLE, 12, text("c")) == 0 && must_drop(&t, TABLE, 11) &&
              !must_drop(&t, TABLE, 12) && judge(&t, "a", 10) == TRACKED_WRITE &&
              judge(&t, "c", 12) == TRACKED_SKIP,
          "one more: the others are given up, ranges that lack them are dropped");
    check(add_of(&t, 13, "d", zeros, TRACKED_BYTES_MAX + 1) == 0 && must_drop(&t, TABLE, 13) &&
              !must_drop(&t, TABLE, 14) && judge(&t, "c", 12) == TRACKED_SKIP,
          "a change beyond the maximum is given up alone");
    tracked_end(&t, TABLE);
    check(add_of(&t, 14, "e", zeros, TRACKED_BYTES_MAX) == 0 && !must_drop(&t, TABLE, 14) &&
              judge(&t, "e", 14) == TRACKED_LAY_OVER,
          "a single change of the maximum is kept");
    free(zeros);
    tracked_free(&t);
}

static void
test_many_xids(void)
{
    struct tracked t = {0};
    bool ok = true;

    for (uint32_t i = 0; i < 1000000 && ok; i++) {
        char key[16];

        snprintf(key, sizeof key, "%u", i);
        ok = tracked_whole(&t, TABLE + i % 2, 10 + i % 4, text(key)) == 0 &&
             tracked_bytes(&t) <= TRACKED_BYTES_MAX;
    }
    check(ok && t.given_up.count == 4, "one xid for each table and transaction: %zu",
          t.given_up.count);
    tracked_free(&t);
}

/* So many that each slot has several. Some keys begin with another key, and some are keys of
 * another table too. */
static void
test_many_keys(void)
{
    enum { FIRST = 100000, END = 400000 };

    struct tracked t = {0};
    struct snapshot s = up_to(10);
    bool ok = true;
    char key[16];

    for (uint32_t i = FIRST; i < END && ok; i++) {
        snprintf(key, sizeof key, "%u", i);
        ok = tracked_whole(&t, TABLE, 10, text(key)) == 0;
    }
    check(ok && !must_drop(&t, TABLE, 10), "%d keys are remembered", END - FIRST);
    for (uint32_t i = FIRST / 100; i < END && ok; i++) {
        snprintf(key, sizeof key, "%u", i);
        ok = judge(&t, key, 10) == (i < FIRST ? TRACKED_WRITE : TRACKED_SKIP) &&
             tracked_judge(&t, OTHER_TABLE, text(key), &s) == TRACKED_WRITE;
    }
    check(ok, "and found, and no others");
    tracked_free(&t);
}

/* ---- against a list ---- */

enum { STEPS = 20000, LISTED_MAX = 4096, KEYS = 5 };

struct listed {
    uint32_t relid, xid, key;
    bool partial;
};

static struct listed list[LISTED_MAX];
static size_t listed;

static const char *const keys[KEYS] = {"", "a", "b", "ab", "aa"};

static uint32_t
random_below(uint32_t n)
{
    static uint64_t state = 20261126;

    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static enum tracked_verdict
list_judge(uint32_t relid, uint32_t key, const struct snapshot *s, size_t *partials)
{
    bool whole = false;

    *partials = 0;
    for (size_t i = 0; i < listed; i++) {
        if (list[i].relid != relid || list[i].key != key || snapshot_contains(s, list[i].xid))
            continue;
        whole = whole || !list[i].partial;
        *partials += list[i].partial;
    }
    if (whole)
        return TRACKED_SKIP;
    return *partials > 0 ? TRACKED_LAY_OVER : TRACKED_WRITE;
}

static void
list_forget(const struct snapshot *horizon, const struct snapshot *held)
{
    size_t kept = 0;

    for (size_t i = 0; i < listed; i++)
        if (!snapshot_contains(horizon, list[i].xid) || !snapshot_contains(held, list[i].xid))
            list[kept++] = list[i];
    listed = kept;
}

static bool
add_random(struct tracked *t)
{
    struct listed *l = &list[listed++];

    *l = (struct listed){TABLE + random_below(2), random_below(XMAX), random_below(KEYS),
                         random_below(2) == 0};
    if (l->partial)
        return tracked_partial(t, l->relid, l->xid, text(keys[l->key]), text(keys[l->key])) == 0;
    return tracked_whole(t, l->relid, l->xid, text(keys[l->key])) == 0;
}

static bool
compare_random(const struct tracked *t)
{
    uint64_t running = random_below(XMAX);
    struct snapshot s = {running, running + random_below(10) + 1, 1, &running};
    uint32_t relid = TABLE + random_below(2), key = random_below(KEYS), at = 0;
    size_t expected, partials = 0;
    enum tracked_verdict verdict = list_judge(relid, key, &s, &expected);
    struct bytes values;

    while (tracked_next(t, relid, text(keys[key]), &s, &at, &values))
        partials += values.len == strlen(keys[key]);
    return partials == expected && tracked_judge(t, relid, text(keys[key]), &s) == verdict;
}

static void
test_against_list(void)
{
    struct tracked t = {0};
    bool ok = true;

    for (uint32_t i = 0; i < STEPS && ok; i++) {
        struct snapshot horizon = up_to(random_below(XMAX)), held = up_to(random_below(XMAX));
        const struct snapshot *all = &held;

        if (listed < LISTED_MAX)
            ok = add_random(&t);
        ok = ok && compare_random(&t);
        if (random_below(50) == 0 || listed == LISTED_MAX) {
            tracked_forget(&t, &horizon, &all, 1);
            list_forget(&horizon, &held);
            ok = ok && t.count == listed;
        }
    }
    check(ok, "the same verdicts as of a list, %d times", STEPS);
    tracked_free(&t);
}

int
main(void)
{
    test_verdicts();
    test_partial_updates();
    test_forgetting();
    test_maximum();
    test_many_xids();
    test_many_keys();
    test_against_list();
    return check_done();
}
