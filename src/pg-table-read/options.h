/* options.h: pg-table-read's command line. */
#ifndef WALPIPE_PGTABLEREAD_OPTIONS_H
#define WALPIPE_PGTABLEREAD_OPTIONS_H

#include "lib/frame.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/opt.h"
#include "lib/sourceopt.h"

struct options {
    const char *conninfo;
    struct sourceopt_publications publications;
    const char *login_note; /* loginnote.h's path, or NULL */
    const char *ackd;       /* NULL: read each table once, and end */
    uint64_t workers;       /* connections that read ranges */
    uint64_t rate;          /* bytes a second of all of them; 0: no limit */
    const char *limits;     /* the file with newer values of these two, limits.h; NULL if none */
    bool until_copied;      /* with ackd: end when nothing is left to copy */
    const char *out;
    enum log_level log_level;
    enum log_format log_format;
};

enum opt_status options_parse(int argc, char **argv, struct options *options,
                              struct err *err) MUST_CHECK;

#endif
