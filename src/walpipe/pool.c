/* pool.c: see pool.h. */
#include "walpipe/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pool_block {
    struct pool_block *next;
    max_align_t bytes[];
};

void *
pool_take(struct pool *pool, size_t size)
{
    static const char message[] = "walpipe: out of memory\n";
    struct pool_block *block = calloc(1, sizeof *block + size);

    if (block == NULL) {
        if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
            _exit(EXIT_PEER);
        _exit(EXIT_PEER);
    }
    block->next = pool->blocks;
    pool->blocks = block;
    return block->bytes;
}

char *
pool_copy_bytes(struct pool *pool, const char *text, size_t len)
{
    char *copy = pool_take(pool, len + 1);

    memcpy(copy, text, len);
    return copy;
}

char *
pool_copy(struct pool *pool, const char *text)
{
    return pool_copy_bytes(pool, text, strlen(text));
}

char *
pool_print(struct pool *pool, const char *fmt, ...)
{
    va_list ap;
    char *text;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        len = 0;
    text = pool_take(pool, (size_t)len + 1);
    va_start(ap, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

void
pool_free(struct pool *pool)
{
    while (pool->blocks != NULL) {
        struct pool_block *next = pool->blocks->next;

        free(pool->blocks);
        pool->blocks = next;
    }
}
