/* check.h: `sink-pg --check`, which compares a stream of hello, relations and end with the
 * target. */
#ifndef SINK_PG_CHECK_H
#define SINK_PG_CHECK_H

#include "sink-pg/options.h"

/* Prints "ok    ...", "warn  ..." and "FAIL  ..." lines to stdout. Returns EXIT_DONE, or
 * EXIT_REFUSED after a FAIL. Returns -1 with err if the stream itself cannot be read. */
int check_run(const struct options *options, const struct log *log, int in,
              struct err *err) MUST_CHECK;

#endif
