/* check.h: TAP output for unit tests. A program calls check() as often as it likes and returns
 * check_done() from main. */
#ifndef WALPIPE_TEST_CHECK_H
#define WALPIPE_TEST_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int checks_done, checks_failed;

__attribute__((format(printf, 2, 3), unused)) static bool
check(bool ok, const char *fmt, ...)
{
    va_list ap;

    checks_done++;
    if (!ok)
        checks_failed++;
    printf("%s %d - ", ok ? "ok" : "not ok", checks_done);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    return ok;
}

__attribute__((unused)) static int
check_done(void)
{
    printf("1..%d\n", checks_done);
    return checks_failed == 0 ? 0 : 1;
}

#endif
