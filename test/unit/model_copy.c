/* model_copy.c: the rules of docs/copy.md, tried in every order of events that a very small world
 * allows. Up to three transactions insert, update (whole or in part), move, rename, delete or
 * truncate the one row of a table that is being copied. Each commits, becomes visible and is
 * delivered at any time. Two ranges and the keys that must be read again are read meanwhile. The
 * pipeline crashes, or the source does, or the table is rewritten.
 *
 * After each step the target must show a key as the source had it at the worker's position. When
 * nothing is left to do, nothing may be missing.
 *
 * Then each rule is switched off, and something must go wrong. If nothing does, either the rule is
 * not needed, or the model does not show why it is. */
#include <string.h>

#include "check.h"
#include "model.h"
#include "model_copy.h"

static const char *const rule_texts[RULES] = {
    [WAIT_FOR_LISTED] = "waiting for the transactions that were running",
    [LIST_AFTER_BEGIN] = "listing them only when every worker tracks",
    [WAIT_AFTER_RESTART] = "waiting again after a restart",
    [FOLLOW_WAITING] = "following a table that waits for its next life",
    [TRACK] = "tracking",
    [TRACK_DELETES] = "tracking deletes",
    [TRACK_OLD_KEY] = "tracking the key that a row leaves",
    [TELL_OTHERS] = "telling the workers that do not apply the change",
    [STAND_STILL] = "standing still at a barrier",
    [BY_SNAPSHOT] = "asking the snapshot, not the mark, what a range contains",
    [HOLD] = "holding a range until its mark has come",
    [UPSERT] = "inserting the row that an update does not find",
    [LAY_OVER] = "laying partial updates over the copied row",
    [KEEP_MISSING] = "keeping the keys of partial updates that found no row",
    [READ_KEYS_AGAIN] = "reading these keys again",
    [LOCK_FIRST] = "locking the table before the snapshot is taken",
    [COMPARE_FILES] = "reading the ranges of an older file again",
    [FORGET_LATE] = "remembering what a range that waits lacks",
    [FORGET_ON_ORDER] = "remembering what a range that is still to come lacks",
    [FORGET_SEEN] = "remembering what no snapshot has contained",
    [GIVE_UP_RANGES] = "dropping ranges that lack what did not fit in memory",
    [ALL_FINISH] = "every worker's part in a finished range",
    [DROP_ON_RESTART] = "dropping ranges at a restart",
    [DROP_ON_SOURCE] = "dropping ranges when the source was restarted",
};

enum { SEEN_BITS = 24, SEEN_BITS_SMALL = 19 };

/* ---- conditions that must hold ---- */

static bool
ranges_finished(const struct state *s)
{
    for (uint32_t i = 0; i < RANGES; i++)
        if (s->reads[i].state != FINISHED)
            return false;
    return true;
}

/* From here on the table is replicated like any other. */
static bool
finished(const struct state *s)
{
    for (uint32_t key = 0; key < KEYS; key++)
        if (s->target[key].missing)
            return false;
    return ranges_finished(s);
}

/* The invariant, and the condition when the copy is over. */
static void
judge(const struct state *s)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        const struct row *row = &s->rows[s->reached];
        const struct target *target = &s->target[key];
        bool has = row->there && row->key == key;

        if (target->there && !has)
            fail("the target has a row that the source did not have");
        else if (target->there && (target->v != row->v || target->big != row->big))
            fail("the target has another row than the source had");
        else if (has && !target->there && finished(s))
            fail("the target lacks a row");
    }
}

/* ---- steps ---- */

static void explore(const struct state *s);

static size_t taken; /* steps out of the state that is looked at, but for commits and crashes */

/* Data that is never looked at again makes no difference. */
static void
forget_history(struct state *s)
{
    for (uint8_t number = 0; number < s->reached; number++) {
        if (number < s->visible)
            s->rows[number] = (struct row){0};
        if (number + s->untold < s->reached)
            s->changes[number + 1] = (struct change){0};
    }
}

static void
step(const char *name, struct state *s)
{
    size_t before = taken;

    forget(s);
    forget_history(s);
    path[depth++] = name;
    if (wrong == NULL && is_new(s, sizeof *s))
        explore(s);
    depth--;
    taken = before + 1;
}

/* ---- the source ---- */

static void
commit(const struct state *before, uint8_t op, uint8_t key, uint8_t place)
{
    struct state s = *before;
    uint8_t number = ++s.committed;
    struct row *row = &s.rows[number];

    *row = s.rows[number - 1];
    s.changes[number] = (struct change){op, row->key};
    if (op == DELETE || op == TRUNCATE)
        *row = (struct row){0};
    else
        *row = (struct row){1, key, place, number,
                            op == PARTIAL || op == REKEY_PARTIAL ? row->big : number};
    if (op == TRUNCATE)
        s.file++;
    step("commit", &s);
}

/* A transaction that changes a row waits until the one before is seen. */
static void
try_commits(const struct state *s)
{
    const struct row *row = &s->rows[s->committed];

    if (s->committed == transactions || s->visible < s->committed)
        return;
    for (uint8_t place = 0; place < RANGES; place++) {
        if (row->there && !moving && place != row->place)
            continue;
        for (uint8_t key = 0; key < KEYS && !row->there; key++)
            commit(s, INSERT, key, place);
        for (uint8_t op = UPDATE; op <= REKEY_PARTIAL && row->there; op++)
            commit(s, op, moves(op) ? !row->key : row->key, place);
    }
    if (row->there) {
        commit(s, DELETE, 0, 0);
        commit(s, TRUNCATE, 0, 0);
    }
}

/* It may be seen before it is flushed and sent (synchronous_commit = off), or long after. */
static void
try_showing(const struct state *before)
{
    struct state s = *before;

    if (s.visible == s.committed)
        return;
    s.visible++;
    step("show", &s);
}

/* VACUUM FULL, CLUSTER, or an ALTER that rewrites. The row is elsewhere, in a new file. */
static void
try_rewrite(const struct state *before)
{
    struct state s = *before;
    struct row *row = &s.rows[s.committed];

    if (s.had == mishaps || s.visible < s.committed || !row->there)
        return;
    s.had++;
    s.file++;
    row->place = !row->place;
    step("rewrite", &s);
}

/* ---- crashes ---- */

static void
drop_reads(struct state *s)
{
    for (uint32_t i = 0; i < READS; i++) {
        struct read *read = &s->reads[i];

        if (read->state == FINISHED)
            continue;
        if (!on(ALL_FINISH) && read->written != 0)
            *read = (struct read){.state = FINISHED, .file = read->file};
        else
            *read = (struct read){0};
    }
}

static void
lose_memory(struct state *s)
{
    s->listed = 0;
    s->lived = s->lived || s->life == READY;
    s->life = NO_LIFE;
    s->untold = 0;
    memset(s->tracked, 0, sizeof s->tracked);
    memset(s->given_up, 0, sizeof s->given_up);
}

/* WAL that was not sent may not have been flushed. */
static void
crash_source(const struct state *before, uint8_t flushed)
{
    struct state s = *before;

    s.had++;
    for (uint8_t number = LAST; number > flushed; number--) {
        s.rows[number] = (struct row){0};
        s.changes[number] = (struct change){0};
    }
    s.committed = s.visible = flushed;
    if (on(DROP_ON_SOURCE)) {
        drop_reads(&s);
        lose_memory(&s);
    }
    step("crash of the source", &s);
}

static void
try_crashes(const struct state *before)
{
    struct state s = *before;

    if (s.had == mishaps)
        return;
    for (uint8_t flushed = s.reached; flushed <= s.committed; flushed++)
        crash_source(before, flushed);
    s.had++;
    lose_memory(&s);
    if (on(DROP_ON_RESTART))
        drop_reads(&s);
    step("crash", &s);
}

/* The keys that a worker remembers do not fit any more. */
static void
try_giving_up(const struct state *before)
{
    for (uint32_t worker = 0; worker < workers && before->had < mishaps; worker++) {
        struct state s = *before;

        s.had++;
        if (give_up(&s, worker))
            step("give up", &s);
    }
}

/* ---- the stream ---- */

/* The changes of one row concern one worker, until it gets another key. Then all stop at a barrier,
 * one applies the change, and the other hears of it. So one position is enough for all workers. */
static void
try_delivery(const struct state *before)
{
    struct state s = *before;

    if (s.untold) {
        tell_other(&s);
        step("tell", &s);
        return;
    }
    if (s.reached == s.committed)
        return;
    s.reached++;
    if (s.life >= BEGUN || (s.started && on(FOLLOW_WAITING)))
        apply(&s, s.reached);
    s.untold = s.life >= BEGUN && concerns_other(&s, s.reached) && on(TELL_OTHERS);
    step("deliver", &s);
}

/* ---- the table's life ---- */

static void
live(const struct state *before, const char *name, enum life life)
{
    struct state s = *before;
    bool waits = on(WAIT_AFTER_RESTART) || !s.lived;

    s.life = (uint8_t)life;
    if (life == LISTED_EARLY || (life == LISTED && before->life == BEGUN))
        s.listed = s.committed;
    s.started = s.started || life >= BEGUN;
    if (life == READY) {
        if (on(WAIT_FOR_LISTED) && waits && s.visible < s.listed)
            return;
        s.listed = 0;
    }
    step(name, &s);
}

static void
try_life(const struct state *s)
{
    if (s->life == NO_LIFE)
        live(s, "begin", on(LIST_AFTER_BEGIN) ? BEGUN : LISTED_EARLY);
    else if (s->life == BEGUN || s->life == LISTED_EARLY)
        live(s, "list", LISTED);
    else if (s->life == LISTED)
        live(s, "wait", READY);
}

/* ---- the reader ---- */

static uint8_t
missing_keys(const struct state *s)
{
    uint8_t keys = 0;

    for (uint32_t key = 0; key < KEYS; key++)
        keys |= (uint8_t)(s->target[key].missing << key);
    return keys;
}

/* Ranges of an older file are read again. */
static void
compare_files(struct state *s)
{
    uint8_t newest = 0;

    for (uint32_t i = 0; i < RANGES; i++)
        if (s->reads[i].state >= READ && s->reads[i].file > newest)
            newest = s->reads[i].file;
    for (uint32_t i = 0; i < RANGES && on(COMPARE_FILES); i++)
        if (s->reads[i].state == FINISHED && s->reads[i].file < newest)
            s->reads[i] = (struct read){0};
}

/* The rows that a statement under the snapshot sees. A table that was rewritten or truncated since
 * the snapshot was taken looks empty. */
static void
read_rows(struct state *s, uint32_t which, bool empty)
{
    struct read *read = &s->reads[which];
    const struct row *row = &read->row;
    bool in = which == REREAD ? (read->asked & 1 << row->key) != 0 : row->place == which;

    read->state = READ;
    read->file = s->file;
    if (!row->there || !in || empty)
        read->row = (struct row){0};
    compare_files(s);
}

static void
try_reading(const struct state *before, uint32_t which)
{
    struct state s = *before;
    struct read *read = &s.reads[which];

    if (read->state == IDLE && s.life == READY) {
        read->asked = which == REREAD ? missing_keys(&s) : 0;
        if (which == REREAD && (!ranges_finished(&s) || !on(READ_KEYS_AGAIN)))
            return;
        read->state = SNAPPED;
        read->seen = s.visible;
        read->row = s.rows[s.visible];
        read->mark = s.committed;
        read->file = s.file;
        if (on(LOCK_FIRST)) /* nothing comes between the snapshot and the rows */
            read_rows(&s, which, false);
        step("snapshot", &s);
    } else if (read->state == SNAPPED) {
        read_rows(&s, which, read->file != s.file);
        step("read", &s);
    } else if (read->state == READ) {
        read->state = ARRIVED;
        step("arrive", &s);
    }
}

/* ---- a worker writes its part ---- */

/* Rows that were read again are whole then, unless a change that came since moved another row,
 * whose big value is not known, to their key. */
static void
judge_reread(const struct state *s, const struct read *read, uint32_t worker)
{
    for (uint32_t key = 0; key < KEYS; key++)
        if (owner(key) == worker && read->asked & 1 << key && s->target[key].missing &&
            !(s->tracked[key].whole & after(read->seen)))
            fail("a row that was read again is still missing");
}

static void
try_writing(const struct state *before, uint32_t which, uint32_t worker)
{
    struct state s = *before;
    struct read *read = &s.reads[which];

    if (!may_write(before, read, worker))
        return;
    write_part(&s, read, worker);
    if (which == REREAD && read->written & 1 << worker)
        judge_reread(&s, read, worker);
    if (reported(read) == (1 << workers) - 1) {
        *read = which == REREAD || read->dropped != 0
                    ? (struct read){0}
                    : (struct read){.state = FINISHED, .file = read->file};
        compare_files(&s);
    }
    step("write", &s);
}

/* ---- all of it ---- */

static void
explore(const struct state *s)
{
    taken = 0;
    judge(s);
    if (finished(s))
        return;
    try_showing(s);
    try_delivery(s);
    try_life(s);
    for (uint32_t which = 0; which < READS; which++) {
        try_reading(s, which);
        for (uint32_t worker = 0; worker < workers; worker++)
            try_writing(s, which, worker);
    }
    if (taken == 0 && wrong == NULL)
        fail("the copy does not come to its end");
    try_commits(s);
    try_rewrite(s);
    try_crashes(s);
    try_giving_up(s);
}

struct world {
    uint32_t workers;
    uint8_t transactions, mishaps;
    bool moving;
};

static void
explore_all(const struct world *w, enum rule without)
{
    world_is(w->workers, w->transactions, w->mishaps, w->moving, without);
    model_begin(w->transactions > 1 ? SEEN_BITS : SEEN_BITS_SMALL);
    for (uint8_t there = 0; there < 2 && wrong == NULL; there++) {
        struct state s = {0};

        if (there)
            s.rows[0] = (struct row){.there = 1};
        step("start", &s);
    }
}

static void
try_all_rules(void)
{
    static const struct world worlds[] = {
        {1, 2, 1, true}, {2, 2, 1, true}, {1, 3, 0, false}, {2, 3, 0, false}};

    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        const struct world *w = &worlds[i];

        explore_all(w, NO_RULE);
        check(wrong == NULL,
              "all is right with %u worker(s), %u transactions, %u mishaps: %zu states", w->workers,
              w->transactions, w->mishaps, states);
        if (wrong != NULL)
            print_path();
    }
}

/* One transaction is enough to miss each rule. For most not even a crash is needed. */
static void
try_without_each(void)
{
    struct world smallest = {.workers = 2, .transactions = 1, .moving = true};

    for (uint32_t rule = NO_RULE + 1; rule < RULES; rule++) {
        for (uint8_t had = 0; had == 0 || (had == 1 && wrong == NULL); had++) {
            smallest.mishaps = had;
            explore_all(&smallest, rule);
        }
        check(wrong != NULL, "something goes wrong without: %s", rule_texts[rule]);
        if (wrong != NULL)
            print_path();
    }
}

int
main(void)
{
    model_start(SEEN_BITS);
    try_all_rules();
    try_without_each();
    model_end();
    return check_done();
}
