/* options.h: the values of the command line. */
#ifndef WALPIPE_SINKCH_OPTIONS_H
#define WALPIPE_SINKCH_OPTIONS_H

#include "lib/log.h"
#include "lib/opt.h"
#include "lib/tablemap.h"
#include "sink-ch/choice.h"
#include "sink-ch/convert/base.h"

enum schema_mode { SCHEMA_NOT, SCHEMA_PRINT, SCHEMA_MAKE };

enum adopt_mode { ADOPT_NOT, ADOPT_LOOK, ADOPT_DO };

struct options {
    const char *in;
    const char *url;
    const char *database;
    const char *user;
    const char *password_file;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    const char *pipeline;
    const char *ackd;
    const char *login_note; /* loginnote.h's path, or NULL */
    const char *version_column;
    const char *deleted_column;
    enum convert_policy on_overflow;
    bool create_tables;
    bool check;
    bool compare;
    bool copies; /* with check: the sink copies the rows that exist already */
    bool drop_progress;
    bool tables;
    enum schema_mode schema;
    enum adopt_mode adopt;
    bool attach;
    const char *resync;     /* a table of the source, or NULL */
    const char *skip;       /* an LSN, or NULL */
    const char *skip_table; /* of --skip, NULL for all tables */
    bool repaired;
    const char *sink;    /* of --drop-progress, --tables and --resync */
    bool park;           /* an error of one table sets it aside */
    uint64_t park_limit; /* tables per minute */
    uint64_t batch_rows;
    uint64_t flush_millis;
    enum log_level log_level;
    enum log_format log_format;
    struct tablemap map;
    struct choices choices;
};

/* Returns OPT_GO, or another action for main (see lib/opt.h). Call options_free in any case. */
enum opt_status options_parse(int argc, char **argv, struct options *options,
                              struct err *err) MUST_CHECK;
void options_free(struct options *options);

#endif
