/* resyncsql.h: the statements that make a target's rows those of its staging table. */
#ifndef SINK_PG_RESYNCSQL_H
#define SINK_PG_RESYNCSQL_H

#include "sink-pg/copyout.h"
#include "sink-pg/plan.h"

struct resyncsql_counts {
    uint64_t missing;
    uint64_t different;
    uint64_t surplus;
};

/* Inside a transaction. staging is the table's name in the schema walpipe, plan the target's. */
int resyncsql_merge(struct session *s, const struct plan *plan, const char *staging,
                    struct resyncsql_counts *counts, struct err *err) MUST_CHECK;

#endif
