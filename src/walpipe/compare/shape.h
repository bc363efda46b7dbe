/* shape.h: the part of a table that is compared with one target: columns, key, and the column that
 * makes ranges. */
#ifndef WALPIPE_COMPARE_SHAPE_H
#define WALPIPE_COMPARE_SHAPE_H

#include "walpipe/compare/form.h"

struct shape_column {
    const struct column *source;
    const struct column *target; /* NULL in ClickHouse */
    struct form form;
    bool key;
};

struct shape {
    struct shape_column *columns; /* of the source, in its order; those with a reason in form.why
                                     are not compared */
    size_t count;
    bool keyed;
    int finder;        /* the column that finds rows, -1 if none */
    bool ranged;       /* it also makes ranges */
    bool quoted;       /* its values are text */
    const char *order; /* behind its name in PostgreSQL where it makes ranges */
};

#endif
