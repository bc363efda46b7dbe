/* model_copy_keyless.c: the rules of docs/copy.md for a table without a key, tried in every order
 * of events that a small world allows. Up to three transactions insert a row each, or truncate the
 * table. They commit in one order and become visible in any other. The table is read under one
 * snapshot in two ranges. The pipeline crashes, or the table is rewritten.
 *
 * Rows without a key cannot be upserted. So a transaction must be taken exactly once, by the ranges
 * or from the stream. When the table is streaming, each row must be there once. Whenever nothing is
 * left to do, the table must be streaming. Each rule is switched off as in model_copy.c. */
#include "check.h"
#include "model.h"

enum { LAST = 3, RANGES = 2, SEEN_BITS = 22 };

enum rule {
    NO_RULE,
    WAIT_FOR_LISTED, /* those that hold a lock when the life begins end before the snapshot */
    HOLD_CHANGES,    /* changes wait until the ranges are written */
    HOLD_EARLY,      /* also before the snapshot is known */
    SKIP_CONTAINED,  /* a change that the snapshot contains is not applied */
    BY_SNAPSHOT,     /* the snapshot decides about its contents, not the mark */
    ONE_SNAPSHOT,    /* all ranges are read under one */
    HOLD,            /* ranges are written when the mark has come through the stream */
    COMPARE_FILES,   /* a range that finds another file ends the life */
    CLEAR,           /* a life begins with an empty table and nothing held */
    RULES
};

static const char *const rule_texts[RULES] = {
    [WAIT_FOR_LISTED] = "waiting for the transactions that were running",
    [HOLD_CHANGES] = "holding changes until the ranges are written",
    [HOLD_EARLY] = "holding changes before the snapshot is known",
    [SKIP_CONTAINED] = "skipping what the snapshot contains",
    [BY_SNAPSHOT] = "asking the snapshot, not the mark, what it contains",
    [ONE_SNAPSHOT] = "one snapshot for all ranges",
    [HOLD] = "holding a range until its mark has come",
    [COMPARE_FILES] = "beginning again when the file is another",
    [CLEAR] = "beginning with an empty table",
};

enum life { NO_LIFE, BEGUN, LISTED, READY, EXPORTED };
enum range_state { IDLE, READ, WRITTEN };

struct range {
    uint8_t state, rows; /* bits of transactions, as in all of the state */
};

/* Bytes only, so that two states are equal if their bytes are. */
struct state {
    uint8_t truncates; /* transactions that truncate, while the others insert */
    uint8_t committed, visible;
    uint8_t file, had;
    uint8_t life, listed;
    uint8_t snapshot, mark, snapshot_file;
    struct range ranges[RANGES];
    /* the target */
    uint8_t reached, streaming, held;
    uint8_t count[LAST + 1];
};

static enum rule off;
static uint8_t transactions, mishaps;

static bool
on(enum rule rule)
{
    return off != rule;
}

static uint8_t
bit(uint8_t number)
{
    return (uint8_t)(1 << number);
}

static uint8_t
up_to(uint8_t number)
{
    return (uint8_t)((2 << number) - 2);
}

/* The rows that are there when these transactions have run. */
static uint8_t
rows_of(const struct state *s, uint8_t contained)
{
    uint8_t rows = 0;

    for (uint8_t number = 1; number <= LAST; number++)
        if (contained & bit(number))
            rows = s->truncates & bit(number) ? 0 : rows | bit(number);
    return rows;
}

/* ---- the target ---- */

static void
apply(struct state *s, uint8_t number)
{
    if (s->truncates & bit(number))
        memset(s->count, 0, sizeof s->count);
    else if (s->count[number] < 3)
        s->count[number]++;
}

/* The transactions that the worker takes for the snapshot's. */
static uint8_t
contained(const struct state *s)
{
    if (!on(SKIP_CONTAINED))
        return 0;
    return on(BY_SNAPSHOT) ? s->snapshot : up_to(s->mark);
}

static void
take_change(struct state *s, uint8_t number)
{
    bool skipped = s->life == EXPORTED && contained(s) & bit(number);

    if (s->streaming)
        apply(s, number);
    else if (s->life < BEGUN || skipped || (s->life < EXPORTED && !on(HOLD_EARLY)))
        return;
    else if (on(HOLD_CHANGES))
        s->held |= bit(number);
    else
        apply(s, number);
}

static void
apply_held(struct state *s)
{
    for (uint8_t number = 1; number <= LAST; number++)
        if (s->held & ~contained(s) & bit(number))
            apply(s, number);
    s->held = 0;
}

static void
judge(const struct state *s)
{
    uint8_t rows = rows_of(s, up_to(s->reached));

    for (uint8_t number = 1; number <= LAST && s->streaming; number++)
        if (s->count[number] > (rows & bit(number) ? 1 : 0))
            fail("the target has a row too often");
        else if (rows & bit(number) && s->count[number] == 0)
            fail("the target lacks a row");
}

/* ---- steps ---- */

static void explore(const struct state *s);

static size_t taken; /* steps out of the state that is looked at, but for commits and mishaps */

static void
step(const char *name, const struct state *s)
{
    size_t before = taken;

    path[depth++] = name;
    if (wrong == NULL && is_new(s, sizeof *s))
        explore(s);
    depth--;
    taken = before + 1;
}

/* A TRUNCATE has the table for itself until it is visible. */
static void
try_commit(const struct state *before, bool truncate)
{
    struct state s = *before;
    bool alone = s.visible == up_to(s.committed);

    if (s.committed == transactions || (truncate && !alone) ||
        s.truncates & up_to(s.committed) & ~s.visible)
        return;
    s.committed++;
    if (truncate) {
        s.truncates |= bit(s.committed);
        s.file++;
    }
    step(truncate ? "truncate" : "insert", &s);
}

static void
try_showing(const struct state *before)
{
    for (uint8_t number = 1; number <= before->committed; number++) {
        struct state s = *before;

        s.visible |= bit(number);
        if (s.visible != before->visible)
            step("show", &s);
    }
}

static void
end_life(struct state *s)
{
    s->life = NO_LIFE;
    s->listed = s->snapshot = s->mark = s->snapshot_file = 0;
    memset(s->ranges, 0, sizeof s->ranges);
}

static void
try_mishaps(const struct state *before)
{
    struct state s = *before;

    if (s.had == mishaps)
        return;
    s.had++;
    end_life(&s);
    step("crash", &s);
    s = *before;
    s.had++;
    s.file++;
    if (s.visible == up_to(s.committed))
        step("rewrite", &s);
}

static void
try_delivery(const struct state *before)
{
    struct state s = *before;

    if (s.reached == s.committed)
        return;
    take_change(&s, ++s.reached);
    step("deliver", &s);
}

static void
begin_life(struct state *s)
{
    s->life = BEGUN;
    if (!on(CLEAR))
        return;
    s->held = 0;
    memset(s->count, 0, sizeof s->count);
}

static void
export_snapshot(struct state *s)
{
    s->life = EXPORTED;
    s->listed = 0;
    s->snapshot = s->visible;
    s->mark = s->committed;
    s->snapshot_file = s->file;
}

static void
try_life(const struct state *before)
{
    struct state s = *before;

    if (s.life == NO_LIFE) {
        begin_life(&s);
        step("begin", &s);
    } else if (s.life == BEGUN) {
        s.life = LISTED;
        s.listed = up_to(s.committed) & (uint8_t)~s.visible;
        step("list", &s);
    } else if (s.life == LISTED && (!on(WAIT_FOR_LISTED) || (s.listed & ~s.visible) == 0)) {
        export_snapshot(&s);
        step("export", &s);
    }
}

/* A table that was rewritten or truncated after the snapshot looks empty. */
static void
try_reading(const struct state *before, uint32_t which)
{
    struct state s = *before;
    struct range *range = &s.ranges[which];
    uint8_t in = which == 0 ? 0x55 : 0xaa;

    if (s.life != EXPORTED || range->state != IDLE)
        return;
    range->state = READ;
    if (!on(ONE_SNAPSHOT))
        range->rows = rows_of(&s, s.visible) & in;
    else if (s.file == s.snapshot_file)
        range->rows = rows_of(&s, s.snapshot) & in;
    else if (on(COMPARE_FILES))
        end_life(&s);
    step("read", &s);
}

static void
try_writing(const struct state *before, uint32_t which)
{
    struct state s = *before;
    struct range *range = &s.ranges[which];

    if (range->state != READ || (on(HOLD) && s.reached < s.mark))
        return;
    for (uint8_t number = 1; number <= LAST; number++)
        if (range->rows & bit(number) && s.count[number] < 3)
            s.count[number]++;
    *range = (struct range){.state = WRITTEN};
    step("write", &s);
}

static void
try_ending(const struct state *before)
{
    struct state s = *before;

    for (uint32_t i = 0; i < RANGES; i++)
        if (s.ranges[i].state != WRITTEN)
            return;
    apply_held(&s);
    s.streaming = 1;
    end_life(&s);
    step("end", &s);
}

static void
explore(const struct state *s)
{
    taken = 0;
    judge(s);
    try_showing(s);
    try_delivery(s);
    if (!s->streaming) {
        try_life(s);
        for (uint32_t which = 0; which < RANGES; which++) {
            try_reading(s, which);
            try_writing(s, which);
        }
        try_ending(s);
        if (taken == 0)
            fail("the copy does not come to its end");
        try_mishaps(s);
    }
    try_commit(s, false);
    try_commit(s, true);
}

static void
explore_all(uint8_t of_transactions, uint8_t of_mishaps, enum rule without)
{
    struct state s = {0};

    transactions = of_transactions;
    mishaps = of_mishaps;
    off = without;
    model_begin(SEEN_BITS);
    step("start", &s);
}

int
main(void)
{
    model_start(SEEN_BITS);
    explore_all(LAST, 1, NO_RULE);
    check(wrong == NULL, "all is right with %d transactions and a mishap: %zu states", LAST,
          states);
    if (wrong != NULL)
        print_path();
    for (uint32_t rule = NO_RULE + 1; rule < RULES; rule++) {
        explore_all(2, 0, rule);
        if (wrong == NULL)
            explore_all(2, 1, rule);
        check(wrong != NULL, "something goes wrong without: %s", rule_texts[rule]);
        if (wrong != NULL)
            print_path();
    }
    model_end();
    return check_done();
}
