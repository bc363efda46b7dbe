/* pool.h: memory that lives as long as one command of walpipe: config, plan, texts. All of it is
 * small and made before the first child is started, so that running out of it ends the program
 * with EXIT_PEER on the spot instead of burdening every caller. */
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
