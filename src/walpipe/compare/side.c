/* side.c: see side.h. */
#include "walpipe/compare/side.h"

#include <stdlib.h>

void
answer_free(struct answer *answer)
{
    free(answer->fields);
    if (answer->release != NULL)
        answer->release(answer->memory);
    *answer = (struct answer){0};
}

/* Hashes, versions and counts are never NULL. A server of the target may be anything. */
static int
hear(struct side *side, const struct question *question, struct answer *answer, struct err *err)
{
    static const size_t least[] = {
        [QUESTION_SUM] = 2, [QUESTION_BUCKETS] = 3, [QUESTION_LIST] = 3, [QUESTION_ROWS] = 3};
    size_t needed = least[question->kind];

    if (side->hear(side, answer, err) != 0)
        return -1;
    if (answer->rows > 0 && answer->columns < needed)
        return err_set(err, EXIT_PEER, "an answer about rows has too few columns");
    for (size_t i = 0; i < answer->rows; i++)
        for (size_t k = 0; k < needed; k++)
            if (answer_field(answer, i, k) == NULL)
                return err_set(err, EXIT_PEER, "an answer about rows lacks a value");
    return 0;
}

int
side_request(struct side *side, const struct question *question, struct answer *answer,
             struct err *err)
{
    *answer = (struct answer){0};
    return side->ask(side, question, err) != 0 ? -1 : hear(side, question, answer, err);
}

/* An answer is read also if the other side failed, so that it does not answer the next question. */
int
side_request_both(struct side *source, struct side *target, const struct question *question,
                  struct answer answers[2], struct err *err)
{
    struct err other = {0};
    int asked, rc;

    answers[0] = answers[1] = (struct answer){0};
    if (source->ask(source, question, err) != 0)
        return -1;
    asked = target->ask(target, question, err);
    rc = hear(source, question, &answers[0], asked == 0 ? err : &other);
    if (asked != 0)
        return -1;
    if (hear(target, question, &answers[1], rc == 0 ? err : &other) != 0)
        rc = -1;
    return rc;
}
