/* check.h: pg-wal-read --check and --drop-slot, which need not read WAL. */
#ifndef WALPIPE_CHECK_H
#define WALPIPE_CHECK_H

#include "pg-wal-read/source.h"

/* Prints one line per finding to stdout, "ok    ...", "warn  ..." or "FAIL  ...". Returns
 * EXIT_DONE, or EXIT_REFUSED if anything failed. */
enum exit_code check_source(const struct source_options *options);

/* Drops the slot. A slot that does not exist is no error. */
int drop_source_slot(const struct source_options *options, bool *existed,
                     struct err *err) MUST_CHECK;

#endif
