/* pauselook.h: the settings of the source that matter for a pause. */
#ifndef WALPIPE_PAUSELOOK_H
#define WALPIPE_PAUSELOOK_H

#include "lib/log.h"
#include "walpipe/config.h"

struct pauselook {
    bool known;         /* the source was asked */
    char keep_size[32]; /* max_slot_wal_keep_size, "-1" for no limit */
};

/* Returns -1 with err if commits on the source would wait for the paused sink. A source that does
 * not answer is logged. */
int pauselook_ask(struct pauselook *look, const struct config *config, const struct log *log,
                  struct err *err) MUST_CHECK;

#endif
