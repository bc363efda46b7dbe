/* table.h: compares one table with one target: in ranges, then in buckets, down to rows. */
#ifndef WALPIPE_COMPARE_TABLE_H
#define WALPIPE_COMPARE_TABLE_H

#include "walpipe/compare/judge.h"
#include "walpipe/compare/pgside.h"
#include "walpipe/compare/progress.h"

/* The rows that may be read per second. It counts over all tables. */
struct pace {
    uint64_t rate; /* 0 without a limit */
    uint64_t rows;
    uint64_t begun; /* clock_micros of the first row */
};

struct table_work {
    struct judge judge;
    struct pgside *source; /* judge.source, which says where a range ends */
    struct pace *pace;
    struct progress *progress;
};

/* Returns 0, or -1 with err. */
int table_compare(struct table_work *work, struct err *err) MUST_CHECK;

#endif
