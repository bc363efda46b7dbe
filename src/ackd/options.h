/* options.h: ackd's command line. */
#ifndef WALPIPE_ACKD_OPTIONS_H
#define WALPIPE_ACKD_OPTIONS_H

#include "ackd/ackd.h"
#include "lib/opt.h"

/* The options that struct ackd does not keep. */
struct options {
    struct ackd *ackd;
    const char *socket;
    const char *state;
    const char *http; /* NULL if off */
    bool check;
    /* For --check, the state of the source today. system_identifier is 0 if it is not known. */
    uint64_t system_identifier;
    uint64_t timeline;
    const char *database;
    const char *slot;
    uint64_t confirmed_lsn; /* 0 if there is no such slot */
    uint64_t restarts;
    enum log_level log_level;
    enum log_format log_format;
};

/* Fills the sinks, the workers, the pipeline's name, the directory and the log level of ackd. */
enum opt_status options_parse(int argc, char **argv, struct ackd *ackd, struct options *options,
                              struct err *err) MUST_CHECK;

#endif
