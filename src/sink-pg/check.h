/* check.h: `sink-pg --check`: a stream of hello, relations and end is compared with the target. */
#ifndef SINK_PG_CHECK_H
#define SINK_PG_CHECK_H

#include "sink-pg/options.h"

/* Prints "ok    ...", "warn  ..." and "FAIL  ..." lines to stdout. EXIT_DONE, EXIT_REFUSED after a
 * FAIL; -1 with err when the stream itself cannot be read. */
int check_run(const struct options *options, const struct log *log, int in,
              struct err *err) MUST_CHECK;

#endif
