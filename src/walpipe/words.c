/* words.c: see words.h. */
#include "walpipe/words.h"

#include <string.h>

void
words_add(struct words *w, const char *word)
{
    if (w->count + 2 > w->size) {
        size_t size = w->size == 0 ? 32 : 2 * w->size;
        const char **list = pool_take(w->pool, size * sizeof *list);

        if (w->count > 0)
            memcpy(list, w->list, w->count * sizeof *list);
        w->list = list;
        w->size = size;
    }
    w->list[w->count++] = word;
    w->list[w->count] = NULL;
}

void
words_add_option(struct words *w, const char *option, const char *value)
{
    words_add(w, option);
    words_add(w, value);
}

/* Whether text needs no quoting in a shell. */
static bool
is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-+=./:,@%";

    return text[0] != '\0' && text[strspn(text, plain)] == '\0';
}

const char *
words_quote(struct pool *pool, const char *text)
{
    char *quoted, *at;

    if (is_plain(text))
        return text;
    /* Double quotes are easier to read and edit. ! is excluded because of an interactive shell's
     * history. */
    if (strchr(text, '\'') != NULL && strpbrk(text, "\"$`\\!") == NULL)
        return pool_print(pool, "\"%s\"", text);
    quoted = at = pool_take(pool, 4 * strlen(text) + 3);
    *at++ = '\'';
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            memcpy(at, "'\\''", 4);
            at += 4;
        } else {
            *at++ = *text;
        }
    }
    *at++ = '\'';
    return quoted;
}
