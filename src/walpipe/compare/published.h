/* published.h: which rows and columns of the source's tables are published. */
#ifndef WALPIPE_COMPARE_PUBLISHED_H
#define WALPIPE_COMPARE_PUBLISHED_H

#include <libpq-fe.h>

#include "lib/event.h"
#include "walpipe/pool.h"

/* The row filter of a table as SQL, over all its publications. *filter is in pool, NULL for all
 * rows. Returns 0, or -1 with err. */
int published_filter(PGconn *conn, const struct hello *hello, uint32_t relid, const char **filter,
                     struct pool *pool, struct err *err) MUST_CHECK;

#endif
