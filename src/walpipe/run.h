/* run.h: walpipe run, which gives the pipeline one life after the other, until it is told to
 * stop. */
#ifndef WALPIPE_RUN_H
#define WALPIPE_RUN_H

#include "walpipe/config.h"

/* Runs in the foreground. Returns the exit code. Everything has been logged. When the programs have
 * been started a newline is written to ready_fd, which is then closed. It is -1 for none. argv is
 * main's: when walpipe's file was replaced, the next life is the new file's. */
int run_pipeline(struct config *config, const struct log *log, int ready_fd, char *const *argv);

#endif
