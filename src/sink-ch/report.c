/* report.c: see report.h. */
#include "sink-ch/report.h"

#include <stdarg.h>
#include <stdio.h>

void
report_say(struct report *report, enum finding finding, const char *hint, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (finding == FINDING_FAIL)
        report->failed = true;
    report->say(report->context, finding, text, hint);
}
