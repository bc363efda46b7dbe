/* err.c: the error record of base.h. */
#include <stdarg.h>
#include <stdio.h>

#include "lib/base.h"

int
err_set(struct err *err, enum exit_code code, const char *fmt, ...)
{
    va_list ap;

    err->code = code;
    err->hint[0] = '\0';
    err->neighbour = false;
    err->sqlstate[0] = err->schema[0] = err->table[0] = err->constraint[0] = '\0';
    err->culprit = 0;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return -1;
}

int
err_hint(struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return -1;
}

int
err_neighbour(struct err *err)
{
    err->neighbour = true;
    return err_hint(err, "its own log says why");
}
