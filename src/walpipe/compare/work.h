/* work.h: the comparison of one sink, with its connections, and how a table's shape is made. */
#ifndef WALPIPE_COMPARE_WORK_H
#define WALPIPE_COMPARE_WORK_H

#include "walpipe/catalog.h"
#include "walpipe/compare/chside.h"
#include "walpipe/compare/table.h"
#include "walpipe/tables.h"

struct sink_work {
    const struct config *config;
    const struct sink_config *sink;
    const struct catalog *catalog;
    PGconn *source;           /* of the questions */
    PGconn *target;           /* of a PostgreSQL sink */
    struct chprogram program; /* of a ClickHouse sink */
    struct pace *pace;
    struct progress *progress;
    struct ack_status *status;
};

/* Compares one table, and fills the report. What cannot be compared is in the report, too. Returns
 * 0, or -1 with err if the source cannot be read. */
int work_table(struct sink_work *work, const struct relation *relation, struct table_report *report,
               struct pool *pool, struct err *err) MUST_CHECK;

#endif
