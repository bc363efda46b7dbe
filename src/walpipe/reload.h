/* reload.h: reads the config file again while the pipeline runs, at SIGHUP, and applies what can
 * change then, copy_workers and copy_rate. */
#ifndef WALPIPE_RELOAD_H
#define WALPIPE_RELOAD_H

#include <sys/types.h>

#include "lib/log.h"
#include "walpipe/config.h"

/* Writes the limits for pg-table-read, which it reads at its start. Returns -1 with err. */
int reload_write_limits(const struct config *config, struct err *err) MUST_CHECK;

/* At SIGHUP. Changes config, and tells the pg-table-read with this pid, 0 if none runs. A file with
 * a mistake changes nothing. Everything is logged. */
void reload_config(struct config *config, const struct log *log, pid_t table_reader);

/* `walpipe reload`: sends SIGHUP to the walpipe that runs this pipeline. Returns the exit code. */
int reload_running(const struct config *config, const struct log *log);

#endif
