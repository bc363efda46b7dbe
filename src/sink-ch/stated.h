/* stated.h: the tables whose relation events are on stdin, for --check and --schema. */
#ifndef WALPIPE_SINKCH_STATED_H
#define WALPIPE_SINKCH_STATED_H

#include "sink-ch/state.h"

/* Zero-initialise to use. */
struct stated {
    struct table **tables;
    uint32_t count;
};

/* Reads relation events up to end. Returns 0, or -1 with err. Call stated_free in both cases. */
int stated_read(struct stated *stated, struct worker *worker, struct err *err) MUST_CHECK;

void stated_free(struct stated *stated);

#endif
