/* options.h: pg-wal-read's command line. */
#ifndef WALPIPE_PGWALREAD_OPTIONS_H
#define WALPIPE_PGWALREAD_OPTIONS_H

#include "lib/log.h"
#include "lib/opt.h"
#include "pg-wal-read/source.h"

struct options {
    struct source_options source;
    const char *ackd;
    const char *out;
    bool no_ack;
    bool check;
    bool until_free;
    bool slot_seen;
    bool drop_slot;
    enum log_level log_level;
    enum log_format log_format;
};

enum opt_status options_parse(int argc, char **argv, struct options *options,
                              struct err *err) MUST_CHECK;

#endif
