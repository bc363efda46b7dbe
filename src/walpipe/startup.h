/* startup.h: starts all programs of a plan and ties them together with pipes. */
#ifndef WALPIPE_STARTUP_H
#define WALPIPE_STARTUP_H

#include <sys/types.h>

#include "lib/log.h"
#include "walpipe/plan.h"

/* pids has room for plan->count numbers, all 0. Afterwards it has the pid of each program that was
 * started, also if the call returns -1 with err. */
int startup_programs(const struct plan *plan, const struct log *log, pid_t *pids,
                     struct err *err) MUST_CHECK;

#endif
