/* pgside.h: a table of a PostgreSQL server as a side of a comparison. */
#ifndef WALPIPE_COMPARE_PGSIDE_H
#define WALPIPE_COMPARE_PGSIDE_H

#include <libpq-fe.h>

#include "walpipe/compare/shape.h"
#include "walpipe/compare/side.h"

struct pgside {
    struct side side; /* first */
    PGconn *conn;
    bool target;
    bool utf8;
    const struct shape *shape;
    const char *from;   /* SQL behind FROM */
    const char *filter; /* SQL, NULL for all rows */
};

void pgside_begin(struct pgside *side, PGconn *conn, bool target);

/* Whether it has no row. Returns 0, or -1 with err. */
int pgside_empty(struct pgside *side, bool *empty, struct err *err) MUST_CHECK;

/* The end of the range of so many rows behind from. *end is in pool, and NULL for the last range.
 * Returns 0, or -1 with err. */
int pgside_boundary(struct pgside *side, const char *from, uint32_t rows, const char **end,
                    struct pool *pool, struct err *err) MUST_CHECK;

#endif
