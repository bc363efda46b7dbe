/* table.c: see table.h. */
#include "walpipe/compare/table.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

/* Rows of a range. They are few enough that a snapshot is short, and many enough that the questions
 * between them cost little. */
#define RANGE_ROWS 50000u

/* A range of so many rows is listed at once. */
#define LIST_ROWS 1000u

/* Buckets are of about so many rows, and a list of several has at most LISTED_MAX. */
#define BUCKET_ROWS 128u
#define BUCKETS_MAX 16384u
#define LISTED_MAX  50000u

/* Candidates that are judged at a time. A question about them fits into the server's limits for
 * queries. */
#define CANDIDATES_MAX 1000u

/* Candidates wait for no more ranges than these, so that the texts of both stay few. */
#define RANGES_MAX 64u

struct entry {
    uint64_t key, row;
    uint32_t count;
    const char *value;
};

struct work {
    struct table_work *t;
    const char *from, *to; /* of the range, in texts */
    struct pool texts;     /* of the range's limits and of the candidates */
    struct candidate candidates[CANDIDATES_MAX];
    size_t count;
};

/* ---- candidates ---- */

static int
judge_all(struct work *w, struct err *err)
{
    size_t count = w->count;

    w->count = 0;
    return judge_rows(&w->t->judge, w->candidates, count, err);
}

static int
add_candidate(struct work *w, const struct entry *entry, struct err *err)
{
    if (w->count == CANDIDATES_MAX && judge_all(w, err) != 0)
        return -1;
    w->candidates[w->count++] = (struct candidate){
        .hash = entry->key,
        .value = entry->value == NULL ? NULL : pool_copy(&w->texts, entry->value)};
    return 0;
}

static int
by_key(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->key, y = ((const struct entry *)b)->key;

    return (x > y) - (x < y);
}

/* The list in the order of the keys' hashes, where rows of equal hashes are one entry. Returns
 * NULL when memory is out. */
static struct entry *
sorted(const struct answer *answer, size_t *count)
{
    struct entry *list = calloc(answer->rows + 1, sizeof *list);
    size_t kept = 0;

    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < answer->rows; i++)
        list[i] = (struct entry){.key = strtoull(answer_field(answer, i, 0), NULL, 10),
                                 .row = strtoull(answer_field(answer, i, 1), NULL, 10),
                                 .count = 1,
                                 .value = answer_field(answer, i, 2)};
    qsort(list, answer->rows, sizeof *list, by_key);
    for (size_t i = 0; i < answer->rows; i++) {
        if (kept > 0 && list[kept - 1].key == list[i].key) {
            list[kept - 1].row += list[i].row;
            list[kept - 1].count++;
        } else {
            list[kept++] = list[i];
        }
    }
    *count = kept;
    return list;
}

static int
merge(struct work *w, const struct entry *a, size_t a_count, const struct entry *b, size_t b_count,
      struct err *err)
{
    size_t i = 0, k = 0;
    int rc = 0;

    while (rc == 0 && (i < a_count || k < b_count)) {
        bool only_a = k == b_count || (i < a_count && a[i].key < b[k].key);
        bool only_b = i == a_count || (k < b_count && b[k].key < a[i].key);

        if (only_a)
            rc = add_candidate(w, &a[i++], err);
        else if (only_b)
            rc = add_candidate(w, &b[k++], err);
        else {
            if (a[i].row != b[k].row || a[i].count != b[k].count)
                rc = add_candidate(w, &a[i], err);
            i++;
            k++;
        }
    }
    return rc;
}

/* ---- one range ---- */

static int
compare_lists(struct work *w, const struct question *q, struct err *err)
{
    struct judge *j = &w->t->judge;
    struct answer answers[2];
    struct entry *a = NULL, *b = NULL;
    size_t a_count = 0, b_count = 0;
    int rc = side_request_both(j->source, j->target, q, answers, err);

    if (rc == 0) {
        a = sorted(&answers[0], &a_count);
        b = sorted(&answers[1], &b_count);
        rc = a == NULL || b == NULL ? err_set(err, EXIT_PEER, "out of memory for rows to compare")
                                    : merge(w, a, a_count, b, b_count, err);
    }
    free(a);
    free(b);
    answer_free(&answers[0]);
    answer_free(&answers[1]);
    return rc;
}

struct bucket {
    uint64_t rows[2], sums[2];
};

static int
take_buckets(struct bucket *buckets, uint32_t count, const struct answer *answer, int which,
             struct err *err)
{
    for (size_t i = 0; i < answer->rows; i++) {
        uint64_t number = strtoull(answer_field(answer, i, 0), NULL, 10);

        if (number >= count)
            return err_set(err, EXIT_PEER, "an answer has a bucket that was not asked for");
        buckets[number].rows[which] = strtoull(answer_field(answer, i, 1), NULL, 10);
        buckets[number].sums[which] = strtoull(answer_field(answer, i, 2), NULL, 10);
    }
    return 0;
}

/* Lists the buckets that differ, several at a time. */
static int
list_buckets(struct work *w, const struct bucket *buckets, struct question q, uint32_t *chosen,
             struct err *err)
{
    uint64_t rows = 0;

    q.kind = QUESTION_LIST;
    q.chosen = chosen;
    for (uint32_t i = 0; i < q.buckets && !report_is_full(w->t->judge.report); i++) {
        const struct bucket *b = &buckets[i];

        if (b->rows[0] == b->rows[1] && b->sums[0] == b->sums[1])
            continue;
        chosen[q.chosen_count++] = i;
        rows += b->rows[0] > b->rows[1] ? b->rows[0] : b->rows[1];
        if (rows < LISTED_MAX)
            continue;
        if (compare_lists(w, &q, err) != 0)
            return -1;
        q.chosen_count = 0;
        rows = 0;
    }
    return q.chosen_count == 0 ? 0 : compare_lists(w, &q, err);
}

static uint32_t
buckets_for(uint64_t rows)
{
    uint64_t count = rows / BUCKET_ROWS + 1;

    return count < BUCKETS_MAX ? (uint32_t)count : BUCKETS_MAX;
}

static int
compare_buckets(struct work *w, uint64_t rows, struct err *err)
{
    struct question q = {.kind = QUESTION_BUCKETS, .from = w->from, .to = w->to};
    struct judge *j = &w->t->judge;
    struct answer answers[2];
    struct bucket *buckets;
    uint32_t *chosen;
    int rc;

    q.buckets = buckets_for(rows);
    buckets = calloc(q.buckets, sizeof *buckets);
    chosen = calloc(q.buckets, sizeof *chosen);
    rc = side_request_both(j->source, j->target, &q, answers, err);
    if (rc == 0 && (buckets == NULL || chosen == NULL))
        rc = err_set(err, EXIT_PEER, "out of memory for rows to compare");
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = take_buckets(buckets, q.buckets, &answers[i], i, err);
    if (rc == 0)
        rc = list_buckets(w, buckets, q, chosen, err);
    answer_free(&answers[0]);
    answer_free(&answers[1]);
    free(buckets);
    free(chosen);
    return rc;
}

/* Sets the rows of both sides, and whether their hashes have the same sum. */
static int
compare_sums(struct work *w, uint64_t rows[2], bool *same, struct err *err)
{
    const struct question q = {.kind = QUESTION_SUM, .from = w->from, .to = w->to};
    struct judge *j = &w->t->judge;
    struct answer answers[2];
    uint64_t sums[2] = {0};
    int rc = side_request_both(j->source, j->target, &q, answers, err);

    for (int i = 0; rc == 0 && i < 2; i++) {
        if (answers[i].rows != 1 || answers[i].columns != 2) {
            rc = err_set(err, EXIT_PEER, "a sum of rows is malformed");
            break;
        }
        rows[i] = strtoull(answer_field(&answers[i], 0, 0), NULL, 10);
        sums[i] = strtoull(answer_field(&answers[i], 0, 1), NULL, 10);
    }
    *same = rows[0] == rows[1] && sums[0] == sums[1];
    answer_free(&answers[0]);
    answer_free(&answers[1]);
    return rc;
}

static void
keep_pace(struct pace *pace, uint64_t rows)
{
    uint64_t due;

    if (pace->begun == 0)
        pace->begun = clock_micros();
    pace->rows += rows;
    if (pace->rate == 0)
        return;
    due = pace->begun + pace->rows * 1000000 / pace->rate;
    if (due > clock_micros())
        poll(NULL, 0, (int)((due - clock_micros()) / 1000 + 1));
}

static int
compare_range(struct work *w, struct err *err)
{
    uint64_t rows[2] = {0}, most;
    bool same;

    if (compare_sums(w, rows, &same, err) != 0)
        return -1;
    w->t->judge.report->rows += rows[0];
    most = rows[0] > rows[1] ? rows[0] : rows[1];
    progress_add(w->t->progress, rows[0]);
    keep_pace(w->t->pace, most);
    if (same)
        return 0;
    if (most > LIST_ROWS)
        return compare_buckets(w, most, err);
    return compare_lists(w, &(struct question){.kind = QUESTION_LIST, .from = w->from, .to = w->to},
                         err);
}

/* ---- the table ---- */

/* Sets the range's end. */
static int
next_range(struct work *w, struct err *err)
{
    struct table_work *t = w->t;

    w->to = NULL;
    return t->judge.shape->ranged
               ? pgside_boundary(t->source, w->from, RANGE_ROWS, &w->to, &w->texts, err)
               : 0;
}

/* Without candidates only the range's end is kept of its texts. */
static void
drop_texts(struct work *w)
{
    struct pool texts = {0};

    if (w->count > 0)
        return;
    if (w->to != NULL)
        w->from = w->to = pool_copy(&texts, w->to);
    pool_free(&w->texts);
    w->texts = texts;
}

static int
compare_ranges(struct work *w, struct err *err)
{
    const struct table_report *report = w->t->judge.report;
    uint64_t ranges = 0;

    do {
        if (next_range(w, err) != 0 || compare_range(w, err) != 0 ||
            (++ranges % RANGES_MAX == 0 && judge_all(w, err) != 0))
            return -1;
        w->from = w->to;
        drop_texts(w);
    } while (w->to != NULL && !report_is_full(report));
    return judge_all(w, err);
}

int
table_compare(struct table_work *t, struct err *err)
{
    struct work *w = calloc(1, sizeof *w);
    int rc;

    if (w == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a comparison");
    w->t = t;
    rc = compare_ranges(w, err);
    pool_free(&w->texts);
    free(w);
    return rc;
}
