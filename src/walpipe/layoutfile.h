/* layoutfile.h: the tables of a sink that go to one worker as a whole. The answer of `sink-pg
 * --layout` is kept in a file of the state directory, which route reads. It is updated before each
 * start of the pipeline. */
#ifndef WALPIPE_LAYOUTFILE_H
#define WALPIPE_LAYOUTFILE_H

#include "lib/log.h"
#include "walpipe/plan.h"

/* Writes the file of each sink that has one. If the target cannot be asked, the last answer stays.
 * Without an answer all tables go to one worker, which is always right. */
int layoutfile_refresh(const struct config *config, const struct plan_place *place,
                       const struct log *log, struct err *err) MUST_CHECK;

#endif
