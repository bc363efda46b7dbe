/* options.h: sink-pg's command line. */
#ifndef SINK_PG_OPTIONS_H
#define SINK_PG_OPTIONS_H

#include "lib/log.h"
#include "lib/opt.h"
#include "lib/tablemap.h"

struct options {
    const char *in;
    const char *conninfo;
    const char *pipeline;
    const char *ackd;
    const char *login_note; /* loginnote.h's path, or NULL */
    const char *sink;       /* --drop-progress, --layout, --tables, --skip */
    bool check;
    bool binary;         /* with check: values come in binary format */
    bool copies;         /* with check: the sink copies tables */
    bool create_tables;  /* with check: walpipe run creates missing tables */
    bool park;           /* an error of one table sets it aside */
    uint64_t park_limit; /* tables per minute */
    bool drop_progress;
    bool layout;
    bool attach;
    const char *resync; /* a table, NULL if none */
    bool tables;
    const char *skip;       /* an LSN, NULL if none */
    const char *skip_table; /* of --skip, NULL for all tables */
    bool repaired;
    uint64_t batch_rows;
    uint64_t flush_millis;
    uint64_t hold_bytes; /* of changes of a table without a key while it is copied */
    enum log_level log_level;
    enum log_format log_format;
    struct tablemap mapping;
};

enum opt_status options_parse(int argc, char **argv, struct options *options,
                              struct err *err) MUST_CHECK;

#endif
