/* binary.c: see binary.h. It decides which file reads each type, and reads values that are made of
 * others, which are arrays, ranges and multiranges. The layouts are those of array_send, range_send
 * and multirange_send in src/backend/utils/adt/ of PostgreSQL. */
#include "sink-ch/convert/binary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/pgtype.h"
#include "sink-ch/convert/binary_drawing.h"
#include "sink-ch/convert/binary_scalar.h"
#include "sink-ch/convert/binary_time.h"

#define DIMENSIONS_MAX 6 /* MAXDIM */

static bool put_part(struct cursor *c, uint32_t oid, struct buf *out, bool *known);

/* ---- quotes around the text that was written last ---- */

/* The rule when a part of an array or range needs quotes, and how quotes in it are escaped. */
struct quoting {
    const char *special; /* characters that need quotes, besides spaces */
    bool doubled;        /* with "" and \\, otherwise with \" and \\ */
    bool null_word;      /* NULL needs them */
};

static bool
is_null_word(const uint8_t *s, size_t n)
{
    return n == 4 && (s[0] | 32) == 'n' && (s[1] | 32) == 'u' && (s[2] | 32) == 'l' &&
           (s[3] | 32) == 'l';
}

static bool
needs_quotes(const struct quoting *quoting, const uint8_t *s, size_t n)
{
    if (n == 0 || (quoting->null_word && is_null_word(s, n)))
        return true;
    for (size_t i = 0; i < n; i++)
        if (s[i] == ' ' || (s[i] >= '\t' && s[i] <= '\r') ||
            (s[i] != 0 && strchr(quoting->special, s[i]) != NULL))
            return true;
    return false;
}

/* Puts quotes around the text in out from `from` on, if it needs them. */
static void
quote_tail(const struct quoting *quoting, size_t from, struct buf *out)
{
    size_t n = out->end - from, extra = 2, at;

    if (out->failed || !needs_quotes(quoting, out->data + from, n))
        return;
    for (size_t i = 0; i < n; i++)
        extra += out->data[from + i] == '"' || out->data[from + i] == '\\';
    if (buf_reserve(out, extra) != 0)
        return;
    out->end += extra;
    at = out->end;
    out->data[--at] = '"';
    while (n-- > 0) {
        uint8_t c = out->data[from + n];

        out->data[--at] = c;
        if (c == '"' || c == '\\')
            out->data[--at] = quoting->doubled ? c : '\\';
    }
    out->data[from] = '"';
}

/* ---- arrays ---- */

struct array_shape {
    uint32_t dimensions;
    uint32_t lengths[DIMENSIONS_MAX];
    int64_t lower_bounds[DIMENSIONS_MAX];
    uint32_t element;
    struct quoting quoting;
    char delimiter;
};

static bool
read_shape(struct cursor *c, struct array_shape *shape)
{
    uint32_t flags, element, bound;

    if (!cursor_u32(c, &shape->dimensions) || shape->dimensions > DIMENSIONS_MAX ||
        !cursor_u32(c, &flags) || !cursor_u32(c, &element))
        return false;
    for (uint32_t i = 0; i < shape->dimensions; i++) {
        if (!cursor_u32(c, &shape->lengths[i]) || !cursor_u32(c, &bound) ||
            shape->lengths[i] == 0 || shape->lengths[i] > INT32_MAX)
            return false;
        shape->lower_bounds[i] = (int32_t)bound;
    }
    return true;
}

/* "[0:2]=", when a bound is not 1. */
static void
put_bounds(const struct array_shape *shape, struct buf *out)
{
    bool any = false;

    for (uint32_t i = 0; i < shape->dimensions; i++)
        any = any || shape->lower_bounds[i] != 1;
    for (uint32_t i = 0; any && i < shape->dimensions; i++)
        convert_put_format(out, "[%lld:%lld]", (long long)shape->lower_bounds[i],
                           (long long)(shape->lower_bounds[i] + shape->lengths[i] - 1));
    if (any)
        buf_append(out, "=", 1);
}

static void
put_hex(struct cursor *c, struct buf *out)
{
    buf_append(out, "\\x", 2);
    for (; c->left > 0; c->at++, c->left--)
        convert_put_format(out, "%02x", *c->at);
}

static bool
put_element(struct cursor *c, const struct array_shape *shape, struct buf *out, bool *known)
{
    struct bytes bytes;
    struct cursor element;
    size_t from = out->end;
    uint32_t len;

    if (!cursor_u32(c, &len))
        return false;
    if (len == UINT32_MAX) {
        buf_append(out, "NULL", 4);
        return true;
    }
    if (!cursor_bytes(c, len, &bytes))
        return false;
    element = cursor_over(bytes.data, bytes.len);
    if (shape->element == PG_BYTEA)
        put_hex(&element, out);
    else if (!put_part(&element, shape->element, out, known) || element.left != 0)
        return false;
    quote_tail(&shape->quoting, from, out);
    return true;
}

/* Recursive, at most DIMENSIONS_MAX deep. */
static bool
put_dimension(struct cursor *c, const struct array_shape *shape, uint32_t dimension,
              struct buf *out, bool *known)
{
    bool innermost = dimension + 1 == shape->dimensions;

    buf_append(out, "{", 1);
    for (uint32_t i = 0; i < shape->lengths[dimension]; i++) {
        if (i > 0)
            buf_append(out, &shape->delimiter, 1);
        if (!(innermost ? put_element(c, shape, out, known)
                        : put_dimension(c, shape, dimension + 1, out, known)))
            return false;
    }
    buf_append(out, "}", 1);
    return true;
}

static bool
put_array(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    struct array_shape shape = {.element = pgtype_element(oid),
                                .delimiter = oid == PG_BOX_ARRAY ? ';' : ',',
                                .quoting = {.special = "{},\"\\", .null_word = true}};

    if (oid == PG_BOX_ARRAY)
        shape.quoting.special = "{};\"\\";
    if (!read_shape(c, &shape))
        return false;
    if (shape.dimensions == 0) {
        buf_append(out, "{}", 2);
        return true;
    }
    put_bounds(&shape, out);
    return put_dimension(c, &shape, 0, out, known);
}

/* ---- ranges ---- */

enum range_flag {
    RANGE_EMPTY = 1,
    RANGE_LOWER_INCLUSIVE = 2,
    RANGE_UPPER_INCLUSIVE = 4,
    RANGE_LOWER_INFINITE = 8,
    RANGE_UPPER_INFINITE = 16
};

static bool
put_range_bound(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    static const struct quoting quoting = {.special = "()[],\"\\", .doubled = true};
    struct bytes bytes;
    struct cursor bound;
    size_t from = out->end;
    uint32_t len;

    if (!cursor_u32(c, &len) || !cursor_bytes(c, len, &bytes))
        return false;
    bound = cursor_over(bytes.data, bytes.len);
    if (!put_part(&bound, oid, out, known) || bound.left != 0)
        return false;
    quote_tail(&quoting, from, out);
    return true;
}

static bool
put_range(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    uint8_t flags;

    if (!cursor_u8(c, &flags) || flags >= 32)
        return false;
    if ((flags & RANGE_EMPTY) != 0) {
        buf_append(out, "empty", 5);
        return true;
    }
    buf_append(out, (flags & RANGE_LOWER_INCLUSIVE) != 0 ? "[" : "(", 1);
    if ((flags & RANGE_LOWER_INFINITE) == 0 && !put_range_bound(c, oid, out, known))
        return false;
    buf_append(out, ",", 1);
    if ((flags & RANGE_UPPER_INFINITE) == 0 && !put_range_bound(c, oid, out, known))
        return false;
    buf_append(out, (flags & RANGE_UPPER_INCLUSIVE) != 0 ? "]" : ")", 1);
    return true;
}

static bool
put_multirange(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    uint32_t count, len;

    if (!cursor_u32(c, &count))
        return false;
    buf_append(out, "{", 1);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes bytes;
        struct cursor range;

        if (i > 0)
            buf_append(out, ",", 1);
        if (!cursor_u32(c, &len) || !cursor_bytes(c, len, &bytes))
            return false;
        range = cursor_over(bytes.data, bytes.len);
        if (!put_range(&range, oid, out, known) || range.left != 0)
            return false;
    }
    buf_append(out, "}", 1);
    return true;
}

/* ---- by type ---- */

static bool
put_made_of_others(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    static const struct {
        uint32_t range, multirange, bound;
    } ranges[] = {{3904, 4451, PG_INT4},        {3926, 4536, PG_INT8},
                  {3906, 4532, PG_NUMERIC},     {3908, 4533, PG_TIMESTAMP},
                  {3910, 4534, PG_TIMESTAMPTZ}, {3912, 4535, PG_DATE}};

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (oid == ranges[i].range)
            return put_range(c, ranges[i].bound, out, known);
        if (oid == ranges[i].multirange)
            return put_multirange(c, ranges[i].bound, out, known);
    }
    if (pgtype_element(oid) != 0)
        return put_array(c, oid, out, known);
    *known = false;
    return false;
}

/* Recursive. Arrays of multiranges of ranges are the deepest. Scalars come first, because they need
 * no look-up. */
static bool
put_part(struct cursor *c, uint32_t oid, struct buf *out, bool *known)
{
    bool scalar = true, read;

    switch (oid) {
    case PG_DATE:
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
    case PG_TIME:
    case PG_TIMETZ:
    case PG_INTERVAL:
        return convert_binary_time(c, oid, out);
    case PG_POINT:
    case PG_LSEG:
    case PG_PATH:
    case PG_BOX:
    case PG_POLYGON:
    case PG_LINE:
    case PG_CIRCLE:
        return convert_binary_drawing(c, oid, out);
    default:
        read = convert_binary_scalar(c, oid, out, &scalar);
        return scalar ? read : put_made_of_others(c, oid, out, known);
    }
}

struct type_text {
    char text[64];
};

/* "text", or "oid 16400" of a type that is not built in */
static struct type_text
type_text(uint32_t oid)
{
    const char *name = pgtype_name(oid);
    struct type_text out;

    if (name != NULL)
        snprintf(out.text, sizeof out.text, "%s", name);
    else
        snprintf(out.text, sizeof out.text, "oid %" PRIu32, oid);
    return out;
}

enum convert_status
convert_binary(struct convert *convert, uint32_t oid, struct bytes value)
{
    struct cursor c = cursor_over(value.data, value.len);
    bool known = true, read;

    buf_reset(&convert->binary, 1u << 20);
    read = put_part(&c, oid, &convert->binary, &known);
    if (!known)
        return convert_bad(convert,
                           "this program doesn't read the binary format of type %s; set binary = "
                           "off",
                           type_text(oid).text);
    if (convert->binary.failed)
        return convert_bad(convert, "out of memory");
    if (!read || c.left != 0)
        return convert_bad(convert, "malformed binary value of type %s", type_text(oid).text);
    return CONVERT_DONE;
}
