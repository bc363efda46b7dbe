/* confirm.h: asks the person who runs a command that cannot be undone. */
#ifndef WALPIPE_CONFIRM_H
#define WALPIPE_CONFIRM_H

#include "lib/base.h"

/* The exit code of a command that was declined. */
#define EXIT_DECLINED 1

/* Prints the question and reads a line of stdin. Returns true for "y" and "yes" alone. Otherwise,
 * also at the end of stdin, prints declined. */
bool confirm(const char *question, const char *declined);

#endif
