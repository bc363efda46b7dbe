/* array.c: see array.h. */
#include "sink-ch/convert/array.h"

static bool
is_null_word(struct bytes text)
{
    return text.len == 4 && (text.data[0] | 32) == 'n' && (text.data[1] | 32) == 'u' &&
           (text.data[2] | 32) == 'l' && (text.data[3] | 32) == 'l';
}

bool
array_take(struct array_text *a, uint8_t c)
{
    if (a->at == a->end || *a->at != c)
        return false;
    a->at++;
    return true;
}

int64_t
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

bool
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
