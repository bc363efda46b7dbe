/* items.c: see items.h. */
#include "sink-ch/items.h"

#include <string.h>

/* The character that an escape with a backslash stands for. */
static char
unescaped(char c)
{
    static const char from[] = "btnfr", to[] = "\b\t\n\f\r";
    const char *found = c == '\0' ? NULL : strchr(from, c);

    return found == NULL ? c : to[found - from];
}

bool
items_next(const char **at, char *out, size_t size, bool *plain)
{
    size_t n = 0;
    int depth = 0;
    char quote = '\0';

    while (**at == ' ' || **at == ',')
        (*at)++;
    *plain = true;
    for (; **at != '\0'; (*at)++) {
        char c = **at;

        if (quote == '\0' && depth == 0 && (c == ',' || c == ')'))
            break;
        if (quote != '\0' && c == '\\' && (*at)[1] != '\0') {
            c = unescaped(*++*at);
        } else if (quote == '\0' ? c == '\'' || c == '`' : c == quote) {
            if (c == '\'')
                *plain = false;
            quote = quote == '\0' ? c : '\0';
            continue;
        } else if (quote == '\0') {
            depth += (c == '(') - (c == ')');
            if (memchr("()+-*/% ", c, 8) != NULL)
                *plain = false;
        }
        if (n + 1 < size)
            out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}
