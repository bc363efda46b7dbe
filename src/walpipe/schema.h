/* schema.h: walpipe schema, which prints or makes the tables of the targets. */
#ifndef WALPIPE_SCHEMA_H
#define WALPIPE_SCHEMA_H

#include "walpipe/config.h"

struct schema_choice {
    struct config *config;
    const struct log *log;
    const char *sink; /* NULL for all */
    bool apply;
    bool sequences; /* instead of the tables */
};

/* Returns the exit code. */
int schema_run(const struct schema_choice *choice);

/* Makes the tables that the target of each PostgreSQL sink with create_tables lacks, with the
 * objects that a copy into them needs, and logs them. For run, before it starts the programs. A
 * sink with detach_after whose target does not answer is passed over, and then *made is false.
 * Returns 0, or -1 with err. */
int schema_make_tables(struct config *config, const struct log *log, bool *made,
                       struct err *err) MUST_CHECK;

/* Whether the target of the PostgreSQL sink lacks a table that run would make. Returns 0, or -1
 * with err. */
int schema_lacks_table(struct config *config, struct sink_config *sink, bool *lacks,
                       struct err *err) MUST_CHECK;

#endif
