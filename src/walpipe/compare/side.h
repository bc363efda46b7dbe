/* side.h: questions about the rows of one table to the source or to a target, and their answers.
 * Both sides are asked the same, and the sender does not wait, so that two servers work at the same
 * time. Knows no dialect. */
#ifndef WALPIPE_COMPARE_SIDE_H
#define WALPIPE_COMPARE_SIDE_H

#include "lib/base.h"

enum question_kind { QUESTION_SUM, QUESTION_BUCKETS, QUESTION_LIST, QUESTION_ROWS };

/* A row that may differ. */
struct candidate {
    uint64_t hash;     /* of its key */
    const char *value; /* of the column by which it is found, NULL if none */
};

/* The rows behind from, and up to to. NULL is open. */
struct question {
    enum question_kind kind;
    const char *from, *to;
    uint32_t buckets;       /* of QUESTION_BUCKETS, and of a list of some buckets */
    const uint32_t *chosen; /* those */
    size_t chosen_count;
    const struct candidate *keys; /* of a list or rows of some keys */
    size_t keys_count;
};

/* The answer's columns are
 *
 *     QUESTION_SUM      rows, sum of the hashes
 *     QUESTION_BUCKETS  bucket, rows, sum
 *     QUESTION_LIST     hash of the key, hash of the row, value of the column that finds it
 *     QUESTION_ROWS     hash of the key, version, hashes of the columns with a comma behind each,
 *                       then each column's text for people
 *
 * Without a key, the hash of the row is also that of the key, the number of these rows takes the
 * place of the row's hash and of the columns' hashes, and there is one line for them. */
struct answer {
    const char **fields; /* NULL for NULL */
    size_t rows, columns;
    void *memory;
    void (*release)(void *memory);
};

static inline const char *
answer_field(const struct answer *answer, size_t row, size_t column)
{
    return answer->fields[row * answer->columns + column];
}

void answer_free(struct answer *answer);

struct side {
    int (*ask)(struct side *side, const struct question *question, struct err *err);
    int (*hear)(struct side *side, struct answer *answer, struct err *err);
};

/* Asks one side, and waits. Returns 0, or -1 with err. */
int side_request(struct side *side, const struct question *question, struct answer *answer,
                 struct err *err) MUST_CHECK;

/* Asks both at the same time. Returns 0, or -1 with err. Free both answers in any case. */
int side_request_both(struct side *source, struct side *target, const struct question *question,
                      struct answer answers[2], struct err *err) MUST_CHECK;

#endif
