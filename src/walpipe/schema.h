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

#endif
