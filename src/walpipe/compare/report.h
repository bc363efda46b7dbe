/* report.h: the results of a comparison, for people and as JSON. */
#ifndef WALPIPE_COMPARE_REPORT_H
#define WALPIPE_COMPARE_REPORT_H

#include "lib/json.h"
#include "walpipe/compare/shape.h"
#include "walpipe/pool.h"

enum difference_kind { DIFFERENCE_MISSING, DIFFERENCE_OTHER, DIFFERENCE_SURPLUS, DIFFERENCE_COUNT };

/* A column's values for people, NULL for NULL. */
struct difference_column {
    const char *name;
    const char *source, *target;
};

struct difference {
    enum difference_kind kind;
    const char *key; /* "id=5, ..." */
    struct difference_column *columns;
    size_t columns_count;
};

/* Something that was not compared. */
struct omission {
    const char *what; /* a column or a row, NULL for the table */
    const char *why;
};

struct table_report {
    const char *schema, *name;
    uint64_t rows; /* of the source, in the ranges that were compared */
    struct difference *differences;
    size_t differences_count;
    bool more; /* there are more differences, and the table was not compared to its end */
    struct omission *omissions; /* the first ones */
    size_t omissions_count;     /* of all */
    const char *lacks;          /* why differences are to be expected, NULL if they are not */
    uint64_t lsn;               /* the source's position when it was compared */
};

enum { REPORT_DIFFERENCES_MAX = 1000, REPORT_OMISSIONS_MAX = 100 };

void report_difference(struct table_report *report, const struct difference *difference,
                       struct pool *pool);
void report_omission(struct table_report *report, const char *what, const char *why,
                     struct pool *pool);

bool report_is_full(const struct table_report *report);

/* Prints a table's result. Without values, only keys are shown. */
void report_print(const struct table_report *report, bool values, FILE *out);
void report_json(const struct table_report *report, bool values, struct json *j);

#endif
