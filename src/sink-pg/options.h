/* options.h: sink-pg's command line. */
#ifndef SINK_PG_OPTIONS_H
#define SINK_PG_OPTIONS_H

#include "lib/log.h"
#include "sink-pg/mapping.h"

struct options {
    const char *in;
    const char *conninfo;
    const char *pipeline;
    const char *ackd;
    const char *sink; /* --drop-progress */
    bool check;
    bool drop_progress;
    uint32_t batch_rows;
    uint64_t flush_millis;
    struct mapping mapping;
};

/* OPT_END: go on; OPT_DONE: exit 0; OPT_BAD: err is set. */
int options_parse(int argc, char **argv, struct options *options, struct log *log,
                  struct err *err) MUST_CHECK;

#endif
