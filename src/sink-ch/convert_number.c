/* convert_number.c: decimal text to ClickHouse's integers, decimals and floats, range-checked. A
 * magnitude has up to 256 bits in four limbs, the lowest first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sink-ch/convert_parts.h"

#define LIMBS 4

struct wide {
    uint64_t limb[LIMBS];
};

/* *n = *n * by + add; false when 256 bits overflow. */
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

/* What stands in the text, scaled: 1.5 at scale 2 is 150. */
struct decimal {
    struct wide magnitude;
    bool negative;
    bool too_large; /* for 256 bits */
};

static bool
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void
add_digit(struct decimal *d, unsigned digit)
{
    if (!wide_multiply_add(&d->magnitude, 10, digit))
        d->too_large = true;
}

static enum convert_status
read_decimal(struct convert *convert, struct bytes text, uint32_t scale, struct decimal *d)
{
    size_t at = 0, digits;
    uint32_t fraction = 0;

    *d = (struct decimal){0};
    if (at < text.len && (text.data[at] == '-' || text.data[at] == '+'))
        d->negative = text.data[at++] == '-';
    for (digits = 0; at < text.len && is_digit(text.data[at]); at++, digits++)
        add_digit(d, text.data[at] - (unsigned)'0');
    if (at < text.len && text.data[at] == '.')
        for (at++; at < text.len && is_digit(text.data[at]); at++, digits++, fraction++) {
            if (fraction < scale)
                add_digit(d, text.data[at] - (unsigned)'0');
            else if (text.data[at] != '0')
                return convert_bad(convert, "more digits behind the point than the column holds");
        }
    if (digits == 0 || at != text.len)
        return convert_bad(convert, "not a plain decimal number");
    for (; fraction < scale; fraction++)
        add_digit(d, 0);
    if (wide_is_zero(&d->magnitude))
        d->negative = false;
    return CONVERT_DONE;
}

/* Nearly all integers: at most 18 digits, at most 64 bits. */
static bool
put_short_integer(const struct ch_type *type, struct bytes text, struct buf *out)
{
    size_t at = text.len > 0 && text.data[0] == '-';
    bool negative = at == 1;
    uint64_t n = 0, max;

    if (type->width > 8 || text.len - at > 18 || text.len == at || type->kind == CH_DECIMAL)
        return false;
    for (; at < text.len; at++) {
        if (!is_digit(text.data[at]))
            return false;
        n = n * 10 + (text.data[at] - (unsigned)'0');
    }
    if (type->kind == CH_UINT)
        max = negative ? 0 : UINT64_MAX >> (64 - 8 * type->width);
    else
        max = (UINT64_C(1) << (8 * type->width - 1)) - !negative;
    if (n > max)
        return false;
    convert_put(out, negative ? 0 - n : n, type->width);
    return true;
}

enum convert_status
convert_integer(struct convert *convert, const struct ch_type *type, struct bytes text,
                struct buf *out)
{
    enum convert_status status;
    struct decimal d;
    struct wide max;

    if (put_short_integer(type, text, out))
        return CONVERT_DONE;
    status = read_decimal(convert, text, type->scale, &d);
    if (status != CONVERT_DONE)
        return status;
    max = largest(type, d.negative);
    if (!d.too_large && wide_compare(&d.magnitude, &max) <= 0) {
        wide_put(out, d.magnitude, d.negative, type->width);
        return CONVERT_DONE;
    }
    if (convert->policy != CONVERT_CLAMP)
        return d.negative ? CONVERT_BELOW : CONVERT_ABOVE;
    wide_put(out, max, d.negative, type->width);
    return CONVERT_DONE;
}

/* strtod reads more than PostgreSQL writes: spaces, hex. */
static bool
looks_like_float(struct bytes text)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text.len == strlen(words[i]) && memcmp(text.data, words[i], text.len) == 0)
            return true;
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.data[i]) && memchr("+-.eE", text.data[i], 5) == NULL)
            return false;
    return text.len > 0;
}

static void
put_float(struct buf *out, double wide, float narrow, uint32_t width)
{
    uint64_t bits = 0;
    uint32_t short_bits;

    if (width == 8) {
        memcpy(&bits, &wide, 8);
    } else {
        memcpy(&short_bits, &narrow, 4);
        bits = short_bits;
    }
    convert_put(out, bits, width);
}

/* The programs never call setlocale(), so the decimal point is a point (trap 152). */
enum convert_status
convert_float(struct convert *convert, const struct ch_type *type, struct bytes text,
              struct buf *out)
{
    char copy[64], *heap = NULL, *s = copy, *end;
    double wide = 0;
    float narrow = 0;
    bool overflow, complete;

    if (!looks_like_float(text))
        return convert_bad(convert, "not a number");
    if (text.len >= sizeof copy) { /* a numeric of hundreds of digits */
        s = heap = malloc(text.len + 1);
        if (heap == NULL)
            return convert_bad(convert, "out of memory");
    }
    memcpy(s, text.data, text.len);
    s[text.len] = '\0';
    errno = 0;
    if (type->width == 8)
        wide = strtod(s, &end);
    else
        narrow = strtof(s, &end);
    complete = *end == '\0';
    overflow =
        errno == ERANGE && (type->width == 8 ? wide > 1 || wide < -1 : narrow > 1 || narrow < -1);
    free(heap);
    if (!complete)
        return convert_bad(convert, "not a number");
    if (overflow && convert->policy != CONVERT_CLAMP)
        return text.data[0] == '-' ? CONVERT_BELOW : CONVERT_ABOVE;
    put_float(out, wide, narrow, type->width);
    return CONVERT_DONE;
}
