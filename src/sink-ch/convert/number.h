/* number.h: the parts of a number in PostgreSQL's text, which are digits, perhaps a point and
 * digits, perhaps an exponent. */
#ifndef WALPIPE_SINKCH_CONVERT_NUMBER_H
#define WALPIPE_SINKCH_CONVERT_NUMBER_H

#include "lib/base.h"

struct number {
    struct bytes whole, fraction; /* digits, of which at least one of the two has some */
    int64_t exponent;
    bool negative;
};

enum number_word { NUMBER_PLAIN, NUMBER_NAN, NUMBER_INFINITY, NUMBER_NEG_INFINITY };

/* Returns false if the text is no number. The parts point into the text. */
bool number_scan(struct bytes text, struct number *n) MUST_CHECK;
/* Which of the words that stand for numbers the text is. */
enum number_word number_word(struct bytes text);

/* Of whole and fraction together, counted from 0. */
static inline unsigned
number_digit(const struct number *n, size_t i)
{
    uint8_t c = i < n->whole.len ? n->whole.data[i] : n->fraction.data[i - n->whole.len];

    return c - (unsigned)'0';
}

#endif
