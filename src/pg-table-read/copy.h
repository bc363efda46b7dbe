/* copy.h: turns the published tables into the frames of their rows. A copy begins, continues and
 * ends here. Its output is a queue that the loop writes. */
#ifndef WALPIPE_PGTABLEREAD_COPY_H
#define WALPIPE_PGTABLEREAD_COPY_H

#include "pg-table-read/state.h"

/* Connects to ackd, or begins without it. copy must not move afterwards, and is to be freed also
 * after a failure. */
int copy_open(struct copy *copy, const struct options *options, const struct log *log,
              struct err *err) MUST_CHECK;

/* Does all that can be done without waiting. *deadline is when it must be called again at the
 * latest (of clock_micros). */
int copy_step(struct copy *copy, uint64_t *deadline, struct err *err) MUST_CHECK;

/* Connects to the source, and puts hello into out. With ackd the run must be known, which is source
 * and the connection's run id. */
int copy_begin(struct copy *copy, struct err *err) MUST_CHECK;

/* Puts `end` into out. Nothing more is read. */
int copy_stop(struct copy *copy, struct err *err) MUST_CHECK;

void copy_free(struct copy *copy);

#endif
