/* run.h: walpipe run: the pipeline's lives, one after the other, until it is told to stop. */
#ifndef WALPIPE_RUN_H
#define WALPIPE_RUN_H

#include "walpipe/config.h"

/* Runs in the foreground; returns the exit code, everything is logged. */
int run_pipeline(const struct config *config, const struct log *log);

#endif
