/* judge.h: whether rows that may differ do differ (docs/design.md, "A true difference"). */
#ifndef WALPIPE_COMPARE_JUDGE_H
#define WALPIPE_COMPARE_JUDGE_H

#include "walpipe/compare/position.h"
#include "walpipe/compare/report.h"
#include "walpipe/compare/side.h"

struct judge {
    struct side *source, *target;
    const struct shape *shape;
    struct position *position;
    struct table_report *report;
    struct pool *pool; /* of the report's texts */
};

/* Puts the differences among these rows into the report. The list's order is changed. Returns 0, or
 * -1 with err. */
int judge_rows(const struct judge *judge, struct candidate *list, size_t count,
               struct err *err) MUST_CHECK;

#endif
