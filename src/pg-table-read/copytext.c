/* copytext.c: see copytext.h. */
#include "pg-table-read/copytext.h"

#include <string.h>

/* The character that a backslash and this letter stand for, or 0 if COPY does not write that. */
static char
unescaped(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    case '\\':
        return '\\';
    default:
        return 0;
    }
}

/* The bytes from at to end, without their escapes. */
static bool
take_value(char *at, const char *end, struct value *value)
{
    char *to = memchr(at, '\\', (size_t)(end - at));

    *value = (struct value){.kind = VALUE_TEXT, .data = (uint8_t *)at};
    if (to == NULL) {
        value->len = (uint32_t)(end - at);
        return true;
    }
    if (end - at == 2 && to == at && at[1] == 'N') {
        *value = (struct value){.kind = VALUE_NULL};
        return true;
    }
    for (const char *from = to; from < end; from++, to++) {
        *to = *from;
        if (*from != '\\')
            continue;
        if (++from == end || (*to = unescaped(*from)) == 0)
            return false;
    }
    value->len = (uint32_t)(to - at);
    return true;
}

bool
copytext_row(char *line, size_t len, struct value *values, uint32_t count)
{
    char *at = line, *end;
    uint32_t column = 0;

    if (len == 0 || len > UINT32_MAX || line[len - 1] != '\n')
        return false;
    for (end = line + len - 1;; column++) {
        char *tab = memchr(at, '\t', (size_t)(end - at));

        if (column == count || !take_value(at, tab != NULL ? tab : end, &values[column]))
            return false;
        if (tab == NULL)
            return column + 1 == count;
        at = tab + 1;
    }
}

bool
copytext_ctid(const struct value *value, struct ctid *ctid)
{
    const uint8_t *at = value->data, *end = at + value->len;

    return value->kind == VALUE_TEXT && ctid_parse(&at, end, ctid) && at == end;
}
