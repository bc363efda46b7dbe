/* ranges.h: gives ranges to the connections that read, and sends the rows that they have read. */
#ifndef WALPIPE_PGTABLEREAD_RANGES_H
#define WALPIPE_PGTABLEREAD_RANGES_H

#include "pg-table-read/state.h"

/* Opens connections up to copy->workers. */
int ranges_open(struct copy *copy, struct err *err) MUST_CHECK;

/* Opens and closes connections for copy->workers. Gives ranges to those that are idle, as far as
 * the rate, the output and the workers allow. */
int ranges_start(struct copy *copy, uint64_t now, struct err *err) MUST_CHECK;

/* Call it when the reader's descriptor can be read. */
int ranges_read(struct copy *copy, struct copy_reader *reader, struct err *err) MUST_CHECK;

/* -1 if it waits for nothing. */
int ranges_fd(const struct copy_reader *reader);

#endif
