/* tables.h: walpipe tables, which shows the progress of each table in each sink. It uses the notes
 * in the targets and the source's catalog, so the pipeline need not run. */
#ifndef WALPIPE_TABLES_H
#define WALPIPE_TABLES_H

#include "walpipe/tablelist.h"

/* The question. */
struct tables_choice {
    const struct config *config;
    bool source;       /* otherwise there are no sizes, and only tables with notes */
    const bool *sinks; /* of each sink of the config; NULL: all */
};

/* The answer, which lives in the pool. */
struct tables_found {
    struct sourcetables source;
    struct tablelist *lists; /* one for each sink of the config; sink NULL: it was not chosen */
};

/* Reads all that is chosen, and the targets a second time, a second later, where a table is being
 * copied. 0, or -1 with err. */
int tables_read(const struct tables_choice *choice, struct tables_found *found, struct pool *pool,
                struct err *err) MUST_CHECK;

/* Returns the exit code: that of the first sink whose target could not be read. */
int tables_show(const struct config *config, const struct log *log, bool json);

#endif
