/* options.h: route's command line, with the sinks, the tables that each takes, and its workers. */
#ifndef WALPIPE_ROUTE_OPTIONS_H
#define WALPIPE_ROUTE_OPTIONS_H

#include "lib/log.h"
#include "lib/opt.h"
#include "route/route.h"

struct options {
    const char *in;
    const char *copy; /* NULL without a copy */
    struct sink sinks[WORKERS_MAX];
    size_t sinks_count;
    struct worker workers[WORKERS_MAX]; /* of all sinks, one sink's after the other's */
    size_t workers_count;
    enum log_level log_level;
    enum log_format log_format;
};

/* Sinks and workers point into options, so do not copy it. */
enum opt_status options_parse(int argc, char **argv, struct options *options,
                              struct err *err) MUST_CHECK;

#endif
