/* number.c: see number.h. */
#include "sink-ch/convert/number.h"

#include <string.h>

#define EXPONENT_MAX 1000000

static bool
text_is(struct bytes text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

enum number_word
number_word(struct bytes text)
{
    if (text.len < 3 || (text.data[0] != 'N' && text.data[0] != 'I' && text.data[1] != 'I'))
        return NUMBER_PLAIN;
    return text_is(text, "NaN")         ? NUMBER_NAN
           : text_is(text, "Infinity")  ? NUMBER_INFINITY
           : text_is(text, "-Infinity") ? NUMBER_NEG_INFINITY
                                        : NUMBER_PLAIN;
}

static size_t
count_digits(struct bytes text, size_t at)
{
    size_t n = 0;

    while (at + n < text.len && text.data[at + n] >= '0' && text.data[at + n] <= '9')
        n++;
    return n;
}

static bool
scan_exponent(struct bytes text, size_t at, int64_t *exponent)
{
    bool negative = at < text.len && text.data[at] == '-';
    size_t n;

    at += negative || (at < text.len && text.data[at] == '+');
    n = count_digits(text, at);
    *exponent = 0;
    for (size_t i = 0; i < n && *exponent < EXPONENT_MAX; i++)
        *exponent = *exponent * 10 + (text.data[at + i] - '0');
    if (negative)
        *exponent = -*exponent;
    return n > 0 && at + n == text.len;
}

bool
number_scan(struct bytes text, struct number *n)
{
    size_t at = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+');

    *n = (struct number){.negative = at == 1 && text.data[0] == '-'};
    n->whole = (struct bytes){.data = text.data + at, .len = count_digits(text, at)};
    n->fraction = (struct bytes){.data = text.data + at, .len = 0};
    at += n->whole.len;
    if (at < text.len && text.data[at] == '.') {
        at++;
        n->fraction = (struct bytes){.data = text.data + at, .len = count_digits(text, at)};
        at += n->fraction.len;
    }
    if (n->whole.len + n->fraction.len == 0)
        return false;
    if (at < text.len && (text.data[at] | 32) == 'e')
        return scan_exponent(text, at + 1, &n->exponent);
    return at == text.len;
}
