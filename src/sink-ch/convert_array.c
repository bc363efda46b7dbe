/* convert_array.c: PostgreSQL's array text, {a,"b c",NULL} and {{1,2},{3,4}}, to Array and
 * Array(Array(...)). An array must have as many dimensions as the column, and begin at 1. */
#include "sink-ch/convert_parts.h"

struct array_text {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t delimiter;
};

struct array_item {
    bool is_null;
    struct bytes text; /* in convert->element */
};

static bool
is_null_word(struct bytes text)
{
    return text.len == 4 && (text.data[0] | 32) == 'n' && (text.data[1] | 32) == 'u' &&
           (text.data[2] | 32) == 'l' && (text.data[3] | 32) == 'l';
}

static bool
array_take(struct array_text *a, uint8_t c)
{
    if (a->at == a->end || *a->at != c)
        return false;
    a->at++;
    return true;
}

/* Items up to the brace that closes the one before a->at; -1: there is none. */
static int64_t
array_count(const struct array_text *a)
{
    bool quoted = false;
    int64_t commas = 0;
    unsigned depth = 0;

    for (const uint8_t *at = a->at; at < a->end; at++) {
        if (*at == '\\' && at + 1 < a->end)
            at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (*at == '{')
            depth++;
        else if (*at == '}' && depth-- == 0)
            return at == a->at ? 0 : commas + 1;
        else if (*at == a->delimiter && depth == 0)
            commas++;
    }
    return -1;
}

/* One element up to its delimiter or the closing brace, where a->at then stands. */
static bool
array_element(struct array_text *a, struct buf *into, struct array_item *item)
{
    bool quoted = false, was_quoted = false;

    buf_reset(into, 1u << 20);
    for (; a->at < a->end; a->at++) {
        uint8_t c = *a->at;

        if (c == '\\') {
            if (++a->at == a->end)
                return false;
            buf_append(into, a->at, 1);
            was_quoted = true;
        } else if (c == '"') {
            quoted = !quoted;
            was_quoted = true;
        } else if (!quoted && (c == a->delimiter || c == '}')) {
            item->text = (struct bytes){.data = into->data, .len = buf_len(into)};
            item->is_null = !was_quoted && is_null_word(item->text);
            return was_quoted || item->text.len > 0;
        } else if (!quoted && c == '{') {
            return false;
        } else {
            buf_append(into, a->at, 1);
        }
    }
    return false;
}

static enum convert_status
put_element(struct convert *convert, const struct ch_type *type, uint32_t oid, struct array_text *a,
            struct buf *out)
{
    struct array_item item;

    if (a->at < a->end && *a->at == '{')
        return convert_bad(convert, "an array of more dimensions than the column has");
    if (!array_element(a, &convert->element, &item))
        return convert_bad(convert, "a malformed array");
    if (convert->element.failed)
        return convert_bad(convert, "out of memory");
    if (!item.is_null)
        return convert_nullable(convert, type, oid, item.text, out);
    if (!type->nullable)
        return convert_bad(convert, "a null element, and the Array's elements are not Nullable");
    convert_put(out, 1, 1);
    return CONVERT_DONE;
}

/* From the opening brace to behind the closing one. */
static enum convert_status
put_items(struct convert *convert, const struct ch_type *type, uint32_t element_oid,
          struct array_text *a, struct buf *out)
{
    bool nested = type->element->kind == CH_ARRAY;
    enum convert_status status;
    int64_t count;

    if (!array_take(a, '{'))
        return convert_bad(convert, "an array of fewer dimensions than the column has");
    count = array_count(a);
    if (count < 0)
        return convert_bad(convert, "a malformed array");
    convert_put_length(out, (uint64_t)count);
    for (int64_t i = 0; i < count; i++) {
        if (i > 0 && !array_take(a, a->delimiter))
            return convert_bad(convert, "a malformed array");
        status = nested ? put_items(convert, type->element, element_oid, a, out)
                        : put_element(convert, type->element, element_oid, a, out);
        if (status != CONVERT_DONE)
            return status;
    }
    return array_take(a, '}') ? CONVERT_DONE : convert_bad(convert, "a malformed array");
}

enum convert_status
convert_array(struct convert *convert, const struct ch_type *type, uint32_t oid, struct bytes text,
              struct buf *out)
{
    struct array_text a = {
        .at = text.data,
        .end = text.data + text.len,
        .delimiter = oid == PG_BOX_ARRAY ? ';' : ',',
    };
    enum convert_status status;

    if (text.len > 0 && text.data[0] == '[')
        return convert_bad(convert, "an array that does not begin at 1");
    if (text.len == 0 || text.data[0] != '{')
        return convert_bad(convert, "not an array");
    status = put_items(convert, type, convert_element_oid(oid), &a, out);
    if (status == CONVERT_DONE && a.at != a.end)
        return convert_bad(convert, "a malformed array");
    return status;
}
