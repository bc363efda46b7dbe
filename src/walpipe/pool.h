/* pool.h: memory that lives as long as one command of walpipe, for config, plan and texts. All of
 * it is small and allocated before the first child is started. So when memory runs out the program
 * ends with EXIT_PEER at once, instead of burdening every caller. */
#ifndef WALPIPE_POOL_H
#define WALPIPE_POOL_H

#include "lib/base.h"

struct pool_block;

/* Zero-initialise to use. */
struct pool {
    struct pool_block *blocks;
};

/* size zero bytes, aligned for anything. Never NULL. */
void *pool_take(struct pool *pool, size_t size);
char *pool_copy(struct pool *pool, const char *text);
char *pool_copy_bytes(struct pool *pool, const char *text, size_t len);
char *pool_print(struct pool *pool, const char *fmt, ...) PRINTF_LIKE(2, 3);

void pool_free(struct pool *pool);

#endif
