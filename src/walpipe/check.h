/* check.h: walpipe check, which checks everything that can be checked without moving a row. */
#ifndef WALPIPE_CHECK_H
#define WALPIPE_CHECK_H

#include "walpipe/config.h"

/* Prints one line per finding to stdout, "ok    ...", "warn  ...", or "FAIL  ...: HINT". Does not
 * stop at a FAIL. Returns EXIT_DONE, or EXIT_REFUSED if a line was FAIL. */
int check_pipeline(struct config *config, const struct log *log);

#endif
