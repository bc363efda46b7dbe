/* report.h: the receivers of reports about a table. */
#ifndef WALPIPE_SINKCH_REPORT_H
#define WALPIPE_SINKCH_REPORT_H

#include "lib/base.h"

enum finding {
    FINDING_WARN,   /* works, but look */
    FINDING_CHOICE, /* works, but differs from the config's choice, logged at run time too
                     */
    FINDING_FAIL    /* rows of this table can't be applied */
};

/* The receivers of reports about a table's problems. schema_load continues to the last problem. */
struct report {
    void (*say)(void *context, enum finding finding, const char *text, const char *hint);
    void *context;
    bool failed;
};

/* hint is "" if there is none. */
void report_say(struct report *report, enum finding finding, const char *hint, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
