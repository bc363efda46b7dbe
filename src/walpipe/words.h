/* words.h: growing NULL-terminated lists of words, for argument vectors and environments. */
#ifndef WALPIPE_WORDS_H
#define WALPIPE_WORDS_H

#include "walpipe/pool.h"

struct words {
    struct pool *pool;
    const char **list; /* NULL-terminated once a word was added */
    size_t count;
    size_t size;
};

void words_add(struct words *words, const char *word);

/* option and its value. */
void words_add_option(struct words *words, const char *option, const char *value);

/* text as one word of a shell's command line. */
const char *words_quote(struct pool *pool, const char *text);

#endif
