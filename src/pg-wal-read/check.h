/* check.h: pg-wal-read --check and --drop-slot: what can be tried without reading WAL. */
#ifndef WALPIPE_CHECK_H
#define WALPIPE_CHECK_H

#include "pg-wal-read/source.h"

/* Prints one line a thing to stdout: "ok    ...", "warn  ..." or "FAIL  ...". EXIT_DONE, or
 * EXIT_REFUSED when anything failed. */
enum exit_code check_source(const struct source_options *options);

/* Drops the slot. A slot that does not exist is no error. */
int drop_source_slot(const struct source_options *options, struct err *err) MUST_CHECK;

#endif
