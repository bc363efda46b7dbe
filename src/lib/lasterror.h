/* lasterror.h: the file DIR/last_error, which holds the last error of a pipeline for `walpipe
 * status` and /healthz. It is kept over restarts until the next error. walpipe writes why the
 * pipeline ended, ackd why a target is down. No decision depends on it. So it is not synced, and a
 * file that cannot be read counts as none. Its five lines are time, program, exit code, message and
 * hint. */
#ifndef WALPIPE_LASTERROR_H
#define WALPIPE_LASTERROR_H

#include "lib/base.h"

struct lasterror {
    char time[64]; /* in the form of utctime.h */
    char program[128];
    uint64_t exit_code; /* 0 if the program continues by itself */
    char message[1024];
    char hint[512]; /* may be empty */
};

/* Writes it into the directory at path. An error that cannot be written is dropped. */
void lasterror_write(const char *path, const char *program, const struct err *err);

/* Returns false if there is none. */
bool lasterror_read(const char *path, struct lasterror *out) MUST_CHECK;

#endif
