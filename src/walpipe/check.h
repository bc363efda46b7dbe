/* check.h: walpipe check: everything that can be tried without moving a row. */
#ifndef WALPIPE_CHECK_H
#define WALPIPE_CHECK_H

#include "walpipe/config.h"

/* One line per thing on stdout, "ok    ...", "warn  ...", "FAIL  ...: what to do"; goes on to the
 * end. EXIT_DONE, or EXIT_REFUSED when a line was FAIL. */
int check_pipeline(const struct config *config, const struct log *log);

#endif
