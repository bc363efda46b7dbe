/* integer.c: decimal text to ClickHouse's integers and decimals, range-checked. A magnitude
 * has up to 256 bits in four limbs, the lowest first. */
#include "sink-ch/convert/integer.h"

#include "sink-ch/convert/number.h"

#define LIMBS 4

struct wide {
    uint64_t limb[LIMBS];
};

/* Computes *n = *n * by + add. Returns false if 256 bits overflow. */
static bool
wide_multiply_add(struct wide *n, uint64_t by, uint64_t add)
{
    unsigned __int128 carry = add;

    for (int i = 0; i < LIMBS; i++) {
        carry += (unsigned __int128)n->limb[i] * by;
        n->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return carry == 0;
}

static int
wide_compare(const struct wide *a, const struct wide *b)
{
    for (int i = LIMBS - 1; i >= 0; i--)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static bool
wide_is_zero(const struct wide *n)
{
    return (n->limb[0] | n->limb[1] | n->limb[2] | n->limb[3]) == 0;
}

static void
wide_negate(struct wide *n)
{
    unsigned __int128 carry = 1;

    for (int i = 0; i < LIMBS; i++) {
        carry += ~n->limb[i];
        n->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void
wide_put(struct buf *out, struct wide n, bool negative, uint32_t width)
{
    if (negative)
        wide_negate(&n);
    for (uint32_t i = 0; i < width; i += 8)
        convert_put(out, n.limb[i / 8], width - i < 8 ? width - i : 8);
}

/* The largest magnitude the type holds. */
static struct wide
largest(const struct ch_type *type, bool negative)
{
    struct wide max = {0};
    uint32_t bits = type->width * 8 - (type->kind == CH_INT);

    if (type->kind == CH_DECIMAL) {
        for (uint32_t i = 0; i < type->precision; i++)
            (void)wide_multiply_add(&max, 10, 9);
        return max;
    }
    if (type->kind == CH_UINT && negative)
        return max;
    for (uint32_t i = 0; i < LIMBS && bits > 64 * i; i++)
        max.limb[i] = bits - 64 * i >= 64 ? UINT64_MAX : (UINT64_C(1) << (bits - 64 * i)) - 1;
    if (negative) /* |-128| is one more than 127 */
        (void)wide_multiply_add(&max, 1, 1);
    return max;
}

/* The scaled value of the text. With scale 2, 1.5 is 150. */
struct decimal {
    struct wide magnitude;
    bool negative;
    bool too_large; /* for 256 bits */
    bool inexact;   /* digits other than 0 were left out */
    bool round_up;  /* the first of them is 5 or more */
};

static void
add_digit(struct decimal *d, unsigned digit)
{
    if (!wide_multiply_add(&d->magnitude, 10, digit))
        d->too_large = true;
}

static void
scale_number(const struct number *n, uint32_t scale, struct decimal *d)
{
    int64_t wanted = (int64_t)n->whole.len + n->exponent + scale; /* digits from the first on */
    int64_t count = (int64_t)(n->whole.len + n->fraction.len), i = 0;

    *d = (struct decimal){.negative = n->negative};
    for (; i < count && i < wanted && !d->too_large; i++)
        add_digit(d, number_digit(n, (size_t)i));
    for (; i < wanted && !d->too_large && !wide_is_zero(&d->magnitude); i++)
        add_digit(d, 0);
    d->round_up = wanted >= 0 && wanted < count && number_digit(n, (size_t)wanted) >= 5;
    for (i = wanted < 0 ? 0 : wanted; i < count && !d->inexact; i++)
        d->inexact = number_digit(n, (size_t)i) != 0;
}

/* 10^n for n up to 18, the most digits that 64 bits surely hold. */
static uint64_t
power_of_ten(uint32_t n)
{
    uint64_t power = 1;

    while (n-- > 0)
        power *= 10;
    return power;
}

/* The largest magnitude of a type of at most 64 bits. */
static uint64_t
largest_short(const struct ch_type *type, bool negative)
{
    if (type->kind == CH_DECIMAL)
        return power_of_ten(type->precision) - 1;
    if (type->kind == CH_UINT)
        return negative ? 0 : UINT64_MAX >> (64 - 8 * type->width);
    return (UINT64_C(1) << (8 * type->width - 1)) - !negative;
}

/* Handles nearly all numbers, which are plain ones of at most 18 digits for a type of at most 64
 * bits. Returns false, with nothing written, for others, or if it does not fit. */
static bool
put_short(const struct ch_type *type, struct bytes text, struct buf *out)
{
    size_t at = text.len > 0 && text.data[0] == '-';
    bool negative = at == 1, point = false;
    uint32_t digits = 0, fraction = 0;
    uint64_t n = 0;

    if (type->width > 8)
        return false;
    for (; at < text.len; at++) {
        uint8_t digit = (uint8_t)(text.data[at] - '0');

        if (digit > 9) {
            if (text.data[at] != '.' || point)
                return false;
            point = true;
            continue;
        }
        if (++digits > 18)
            return false;
        n = n * 10 + digit;
        fraction += point;
    }
    if (digits == 0 || fraction > type->scale || digits - fraction + type->scale > 18)
        return false;
    n *= power_of_ten(type->scale - fraction);
    if (n > largest_short(type, negative))
        return false;
    convert_put(out, negative ? 0 - n : n, type->width);
    return true;
}

static enum convert_status
put_largest(const struct ch_type *type, bool negative, struct buf *out)
{
    wide_put(out, largest(type, negative), negative, type->width);
    return CONVERT_DONE;
}

static enum convert_status
out_of_range(struct convert *convert, const struct ch_type *type, bool negative, struct buf *out)
{
    if (convert_may_clamp(convert))
        return put_largest(type, negative, out);
    return convert_misfit(convert, "too %s for the column's type", negative ? "small" : "large");
}

/* NaN and the infinities, which no type here has. */
static enum convert_status
put_word(struct convert *convert, const struct ch_type *type, enum number_word word,
         struct buf *out)
{
    if (word == NUMBER_NAN)
        return convert_misfit(convert, "NaN, which the column can't hold");
    if (convert_may_clamp(convert))
        return put_largest(type, word == NUMBER_NEG_INFINITY, out);
    return convert_misfit(convert, "an infinity, which the column can't hold");
}

enum convert_status
convert_integer(struct convert *convert, const struct ch_type *type, struct bytes text,
                struct buf *out)
{
    enum number_word word;
    struct number number;
    struct decimal d;
    struct wide max;

    if (put_short(type, text, out))
        return CONVERT_DONE;
    word = number_word(text);
    if (word != NUMBER_PLAIN)
        return put_word(convert, type, word, out);
    if (!number_scan(text, &number))
        return convert_bad(convert, "not a number");
    scale_number(&number, type->scale, &d);
    if (d.inexact && !d.too_large) {
        if (!convert_may_clamp(convert))
            return convert_misfit(convert, "more digits behind the point than the column holds");
        if (d.round_up && !wide_multiply_add(&d.magnitude, 1, 1))
            d.too_large = true;
    }
    max = largest(type, d.negative);
    if (d.too_large || wide_compare(&d.magnitude, &max) > 0)
        return out_of_range(convert, type, d.negative, out);
    wide_put(out, d.magnitude, d.negative, type->width);
    return CONVERT_DONE;
}
