/* float.c: decimal text to Float32 and Float64.
 *
 * A number fits when the float, written with as many digits as the text has, is that text again. So
 * 0.1 fits both types, 16777217 does not fit Float32, and 0.12345678901234567890 fits neither. */
#include "sink-ch/convert/float.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-ch/convert/number.h"

#define DIGITS_MAX 800 /* of an exact double, which has at most 767 */

/* The digits without zeros at both ends, and the exponent of the first one. */
struct significant {
    size_t first, count;
    int64_t exponent;
};

static struct significant
significant_digits(const struct number *n)
{
    struct significant s = {.count = n->whole.len + n->fraction.len};

    while (s.count > 0 && number_digit(n, s.first) == 0)
        s.first++, s.count--;
    while (s.count > 0 && number_digit(n, s.first + s.count - 1) == 0)
        s.count--;
    s.exponent = (int64_t)n->whole.len + n->exponent - 1 - (int64_t)s.first;
    return s;
}

/* True when the float, written with that many digits, has these digits. */
static bool
has_digits(double value, const struct number *n, const struct significant *s)
{
    char text[DIGITS_MAX + 32], *at = text;
    size_t i = 0;

    if (s->count > DIGITS_MAX)
        return false;
    snprintf(text, sizeof text, "%.*e", (int)s->count - 1, fabs(value));
    for (; *at != 'e' && *at != '\0'; at++)
        if (*at != '.' && *at - '0' != (int)number_digit(n, s->first + i++))
            return false;
    return *at == 'e' && strtoll(at + 1, NULL, 10) == s->exponent;
}

/* Up to 15 digits, or 6, always come back, unless the number is at the end of the float's range. */
static bool
is_exact(double value, const struct number *n, uint32_t width)
{
    struct significant s = significant_digits(n);
    int64_t range = width == 8 ? 290 : 35;

    if (s.count == 0)
        return true;
    if (s.count <= (width == 8 ? DBL_DIG : FLT_DIG) && s.exponent < range && s.exponent > -range)
        return true;
    return has_digits(value, n, &s);
}

static void
put_float(struct buf *out, double value, uint32_t width)
{
    float narrow = (float)value;
    uint64_t bits = 0;
    uint32_t short_bits;

    if (width == 8) {
        memcpy(&bits, &value, 8);
    } else {
        memcpy(&short_bits, &narrow, 4);
        bits = short_bits;
    }
    convert_put(out, bits, width);
}

/* The programs never call setlocale(), so the decimal point is a point (trap 152). */
static int
read_float(struct bytes text, uint32_t width, double *value)
{
    char copy[64], *heap = NULL, *s = copy;

    if (text.len >= sizeof copy) { /* a numeric of hundreds of digits */
        s = heap = malloc(text.len + 1);
        if (heap == NULL)
            return -1;
    }
    memcpy(s, text.data, text.len);
    s[text.len] = '\0';
    *value = width == 8 ? strtod(s, NULL) : (double)strtof(s, NULL);
    free(heap);
    return 0;
}

enum convert_status
convert_float(struct convert *convert, const struct ch_type *type, struct bytes text,
              struct buf *out)
{
    enum number_word word = number_word(text);
    struct number number;
    double value;

    if (word != NUMBER_PLAIN) {
        put_float(out,
                  word == NUMBER_NAN            ? (double)NAN
                  : word == NUMBER_NEG_INFINITY ? -(double)INFINITY
                                                : (double)INFINITY,
                  type->width);
        return CONVERT_DONE;
    }
    if (!number_scan(text, &number))
        return convert_bad(convert, "not a number");
    if (read_float(text, type->width, &value) != 0)
        return convert_bad(convert, "out of memory");
    if (isinf(value)) {
        if (!convert_may_clamp(convert))
            return convert_misfit(convert, "too %s for the column's type",
                                  number.negative ? "small" : "large");
        value = type->width == 8 ? DBL_MAX : (double)FLT_MAX;
        if (number.negative)
            value = -value;
    } else if (!is_exact(value, &number, type->width) && !convert_may_clamp(convert)) {
        return convert_misfit(convert, "more digits than the column's type has");
    }
    put_float(out, value, type->width);
    return CONVERT_DONE;
}
