/* reloadask.h: walpipe reload, which has the running walpipe read its config file again, and waits
 * for the outcome. */
#ifndef WALPIPE_RELOADASK_H
#define WALPIPE_RELOADASK_H

#include "lib/log.h"
#include "walpipe/config.h"

/* Sends SIGHUP to the walpipe that runs this pipeline. Returns the exit code: EXIT_DONE if the file
 * is in force and every worker has reached its target, EXIT_REFUSED if the pipeline goes on with
 * the old config. */
int reloadask_run(const struct config *config, const struct log *log);

#endif
