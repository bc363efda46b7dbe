/* judge.c: see judge.h. First the rows are listed again, once the target has come as far as the
 * source was. Most have just been behind. The others are read as a whole, a few at a time. */
#include "walpipe/compare/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

#define BATCH_MAX 64

/* Columns of a row whose values are reported. */
#define SHOWN_MAX 32

/* A row that has changed between so many readings is not compared. */
#define ROUNDS_MAX 12

/* The lines of an answer for one key, which are several where the target has the key twice. */
struct view {
    uint32_t count;
    uint64_t version, hashes; /* of all of them */
    size_t line;              /* the first one */
};

struct round {
    const struct judge *judge;
    struct candidate *list;
    bool *done;
    size_t count;
    struct answer before[2], now[2]; /* of the source and of the target */
};

enum { SOURCE, TARGET };

static uint64_t
hash_of(const char *text)
{
    return text == NULL ? 0 : hash_finish(hash_bytes(HASH_SEED, text, strlen(text)));
}

/* The columns of a list are fewer, and its row's hash stands for the version. */
static struct view
view_of(const struct answer *answer, uint64_t hash)
{
    struct view v = {0};

    for (size_t i = 0; i < answer->rows; i++) {
        if (strtoull(answer_field(answer, i, 0), NULL, 10) != hash)
            continue;
        if (v.count++ == 0)
            v.line = i;
        v.version += hash_of(answer_field(answer, i, 1));
        v.hashes += hash_of(answer_field(answer, i, 2));
    }
    return v;
}

/* ---- listing again ---- */

static bool
equal_in_lists(const struct answer *source, const struct answer *target, uint64_t hash)
{
    struct view s = view_of(source, hash), t = view_of(target, hash);

    return s.count == t.count && s.version == t.version;
}

static int
omit_all(const struct judge *j, size_t count, const char *why)
{
    char what[48];

    snprintf(what, sizeof what, count == 1 ? "%zu row" : "%zu rows", count);
    report_omission(j->report, what, why, j->pool);
    return 0;
}

/* Returns the number of rows that are left, at the list's beginning, or -1 with err. */
static int64_t
list_again(const struct judge *j, struct candidate *list, size_t count, struct err *err)
{
    const struct question q = {.kind = QUESTION_LIST, .keys = list, .keys_count = count};
    struct answer source = {0}, target = {0};
    size_t left = 0;
    uint64_t lsn;
    int rc = side_request(j->source, &q, &source, err);

    if (rc == 0)
        rc = position_of_source(j->position->source, &lsn, err);
    if (rc == 0)
        rc = position_wait(j->position, lsn, err);
    if (rc == 0)
        rc = side_request(j->target, &q, &target, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!equal_in_lists(&source, &target, list[i].hash))
            list[left++] = list[i];
    answer_free(&source);
    answer_free(&target);
    if (rc == 1)
        rc = omit_all(j, count, j->position->why);
    return rc < 0 ? -1 : (int64_t)left;
}

/* ---- the report ---- */

/* "a=1, b=2" of the key's columns, or of all without a key. */
static const char *
key_text(const struct judge *j, const struct answer *answer, size_t line)
{
    const struct shape *shape = j->shape;
    const char *text = "";
    size_t field = 3;

    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_column *c = &shape->columns[i];
        const char *value;

        if (c->form.source == NULL)
            continue;
        value = answer_field(answer, line, field++);
        if (shape->keyed && !c->key)
            continue;
        text = pool_print(j->pool, "%s%s%s=%s", text, text[0] == '\0' ? "" : ", ", c->source->name,
                          value == NULL ? "NULL" : value);
    }
    return text;
}

/* The length of the text up to the next comma. */
static size_t
item(const char *text)
{
    return strcspn(text, ",");
}

static void
add_column(const struct judge *j, struct difference *d, const char *name, const char *source,
           const char *target)
{
    d->columns[d->columns_count++] = (struct difference_column){
        .name = pool_copy(j->pool, name),
        .source = source == NULL ? NULL : pool_copy(j->pool, source),
        .target = target == NULL ? NULL : pool_copy(j->pool, target),
    };
}

/* Both hashes are lists of the same columns. */
static void
add_columns(const struct round *r, struct difference *d, size_t source, size_t target)
{
    const struct shape *shape = r->judge->shape;
    const char *a = answer_field(&r->now[SOURCE], source, 2);
    const char *b = answer_field(&r->now[TARGET], target, 2);
    size_t field = 3;

    d->columns = pool_take(r->judge->pool, SHOWN_MAX * sizeof *d->columns);
    for (size_t i = 0; i < shape->count && d->columns_count < SHOWN_MAX; i++) {
        if (shape->columns[i].form.source == NULL)
            continue;
        if (item(a) != item(b) || memcmp(a, b, item(a)) != 0)
            add_column(r->judge, d, shape->columns[i].source->name,
                       answer_field(&r->now[SOURCE], source, field),
                       answer_field(&r->now[TARGET], target, field));
        a += item(a) + (a[item(a)] == ',');
        b += item(b) + (b[item(b)] == ',');
        field++;
    }
}

static void
report(const struct round *r, const struct view *s, const struct view *t)
{
    const struct judge *j = r->judge;
    struct difference d = {.kind = s->count == 0   ? DIFFERENCE_SURPLUS
                                   : t->count == 0 ? DIFFERENCE_MISSING
                                                   : DIFFERENCE_OTHER};

    d.key = s->count > 0 ? key_text(j, &r->now[SOURCE], s->line)
                         : key_text(j, &r->now[TARGET], t->line);
    if (!j->shape->keyed) {
        d.kind = DIFFERENCE_COUNT;
        d.columns = pool_take(j->pool, sizeof *d.columns);
        add_column(j, &d, "rows", s->count > 0 ? answer_field(&r->now[SOURCE], s->line, 2) : "0",
                   t->count > 0 ? answer_field(&r->now[TARGET], t->line, 2) : "0");
    } else if (s->count != t->count && s->count > 0 && t->count > 0) {
        d.columns = pool_take(j->pool, sizeof *d.columns);
        add_column(j, &d, "rows", pool_print(j->pool, "%u", s->count),
                   pool_print(j->pool, "%u", t->count));
    } else if (d.kind == DIFFERENCE_OTHER) {
        add_columns(r, &d, s->line, t->line);
    }
    report_difference(j->report, &d, j->pool);
}

/* ---- the rule ---- */

static bool
same(const struct view *a, const struct view *b)
{
    return a->count == b->count && a->version == b->version;
}

/* Returns true if it is clear whether the row differs. */
static bool
decide(const struct round *r, uint64_t hash, bool first)
{
    struct view s = view_of(&r->now[SOURCE], hash), t = view_of(&r->now[TARGET], hash);
    struct view s_before, t_before;

    if (s.count == t.count && s.hashes == t.hashes)
        return true;
    if (first)
        return false;
    s_before = view_of(&r->before[SOURCE], hash);
    t_before = view_of(&r->before[TARGET], hash);
    if (!same(&s, &s_before) ||
        (s.count == 0 && !(same(&t, &t_before) && t.hashes == t_before.hashes)))
        return false;
    report(r, &s, &t);
    return true;
}

static size_t
compared(const struct shape *shape)
{
    size_t count = 0;

    for (size_t i = 0; i < shape->count; i++)
        count += shape->columns[i].form.source != NULL;
    return count;
}

static int
read_side(struct round *r, int which, struct err *err)
{
    const struct question q = {.kind = QUESTION_ROWS, .keys = r->list, .keys_count = r->count};
    struct side *side = which == SOURCE ? r->judge->source : r->judge->target;

    answer_free(&r->before[which]);
    r->before[which] = r->now[which];
    if (side_request(side, &q, &r->now[which], err) != 0)
        return -1;
    if (r->now[which].rows > 0 && r->now[which].columns != 3 + compared(r->judge->shape))
        return err_set(err, EXIT_PEER, "an answer about rows has other columns than expected");
    return 0;
}

/* W S, and their decisions. Returns the number of rows that are left, or -1 with err. *rc is 1 if
 * the wait was in vain. */
static int64_t
look(struct round *r, bool first, int *rc, struct err *err)
{
    int64_t left = 0;

    *rc = position_settle(r->judge->position, err);
    if (*rc < 0 || (*rc == 0 && read_side(r, SOURCE, err) != 0))
        return -1;
    for (size_t i = 0; i < r->count; i++) {
        if (*rc == 0 && !r->done[i])
            r->done[i] = decide(r, r->list[i].hash, first);
        left += !r->done[i];
    }
    return left;
}

static void
omit_rest(const struct round *r, const char *why)
{
    for (size_t i = 0; i < r->count; i++) {
        struct view s = view_of(&r->now[SOURCE], r->list[i].hash);
        struct view t = view_of(&r->now[TARGET], r->list[i].hash);

        if (!r->done[i])
            report_omission(r->judge->report,
                            !r->judge->shape->keyed ? "a row"
                            : s.count > 0           ? key_text(r->judge, &r->now[SOURCE], s.line)
                            : t.count > 0           ? key_text(r->judge, &r->now[TARGET], t.line)
                                                    : "a row",
                            why, r->judge->pool);
    }
}

static int
confirm(struct round *r, struct err *err)
{
    struct position *p = r->judge->position;
    uint64_t lsn;
    int rc = read_side(r, TARGET, err);

    for (int n = 0; rc == 0 && n < ROUNDS_MAX; n++) {
        int64_t left = look(r, n == 0, &rc, err);

        if (left <= 0)
            return (int)left;
        if (rc == 0 && position_of_source(p->source, &lsn, err) != 0)
            return -1;
        if (rc == 0)
            rc = position_wait(p, lsn, err);
        if (rc == 0)
            rc = read_side(r, TARGET, err);
    }
    if (rc < 0)
        return -1;
    omit_rest(r, rc == 1 ? p->why : "it changes all the time");
    return 0;
}

static int
confirm_batch(const struct judge *j, struct candidate *list, size_t count, struct err *err)
{
    bool done[BATCH_MAX] = {false};
    struct round r = {.judge = j, .list = list, .done = done, .count = count};
    int rc = confirm(&r, err);

    for (int i = 0; i < 2; i++) {
        answer_free(&r.before[i]);
        answer_free(&r.now[i]);
    }
    return rc;
}

int
judge_rows(const struct judge *j, struct candidate *list, size_t count, struct err *err)
{
    int64_t left = count == 0 ? 0 : list_again(j, list, count, err);
    size_t at = 0;

    while (left > 0 && !report_is_full(j->report)) {
        size_t batch = left < BATCH_MAX ? (size_t)left : BATCH_MAX;

        if (confirm_batch(j, list + at, batch, err) != 0)
            return -1;
        at += batch;
        left -= (int64_t)batch;
    }
    if (left > 0)
        j->report->more = true;
    return left < 0 ? -1 : 0;
}
