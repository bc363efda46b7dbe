/* lasterror.h: DIR/last_error: what last went wrong with a pipeline, kept over restarts until the
 * next error, for `walpipe status` and /healthz. walpipe writes why the pipeline ended, ackd why a
 * target is down. Nothing is decided by it, so it is not synced, and a file
 * that cannot be read counts as none. Five lines: time, program, exit code, message, hint. */
#ifndef WALPIPE_LASTERROR_H
#define WALPIPE_LASTERROR_H

#include "lib/base.h"

struct lasterror {
    char time[64]; /* as utctime.h has it */
    char program[128];
    uint64_t exit_code; /* 0: the program goes on by itself */
    char message[1024];
    char hint[512]; /* may be empty */
};

/* Writes it into the directory at path. What fails is not kept. */
void lasterror_write(const char *path, const char *program, const struct err *err);

/* False: there is none. */
bool lasterror_read(const char *path, struct lasterror *out) MUST_CHECK;

#endif
