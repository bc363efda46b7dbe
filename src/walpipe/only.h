/* only.h: the beginning and the end of a run under copy = only (docs/copy.md). The notes in the
 * targets and the slot tell whether everything is copied. */
#ifndef WALPIPE_ONLY_H
#define WALPIPE_ONLY_H

#include "lib/log.h"
#include "walpipe/config.h"

enum only_look {
    ONLY_NEW,  /* run, and make the slot */
    ONLY_RUN,  /* run with the slot that is there */
    ONLY_WAIT, /* the source does not answer, or its slot is in use; err says which */
    ONLY_DONE, /* everything is copied, and the slot is gone */
    ONLY_FAILED
};

/* Before each start of the programs. */
enum only_look only_look(const struct config *config, struct err *err) MUST_CHECK;

/* Logs that there was nothing left to do, and removes a note about the slot. */
void only_log_done(const struct config *config, const struct log *log);

/* After the drain. Returns 1 when the targets have everything, and the slot was dropped if walpipe
 * made it. Returns 0 if a table is not copied to its end, so that the pipeline must start again, or
 * -1 with err. Logs the results. */
int only_finish(const struct config *config, const struct log *log, struct err *err) MUST_CHECK;

#endif
