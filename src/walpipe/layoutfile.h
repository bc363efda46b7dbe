/* layoutfile.h: which tables of a sink go to one worker as a whole: what `sink-pg --layout` says,
 * in a file of the state directory, which route reads. Asked before each start of the pipeline. */
#ifndef WALPIPE_LAYOUTFILE_H
#define WALPIPE_LAYOUTFILE_H

#include "lib/log.h"
#include "walpipe/plan.h"

/* Writes the file of each sink that has one. Where the target cannot be asked, the last answer
 * stays; without one all tables go to one worker, which is always right. */
int layoutfile_refresh(const struct config *config, const struct plan_place *place,
                       const struct log *log, struct err *err) MUST_CHECK;

#endif
