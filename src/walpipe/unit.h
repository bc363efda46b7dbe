/* unit.h: one life of the pipeline: all programs of a plan are started, watched and ended as one.
 * Whether there is another life is run.c's business. */
#ifndef WALPIPE_UNIT_H
#define WALPIPE_UNIT_H

#include "lib/log.h"
#include "walpipe/notify.h"
#include "walpipe/plan.h"

/* After a child ended: how long the others have to notice it by themselves. */
#define UNIT_NOTICE_MILLIS 2000

/* After SIGTERM: how long the pipeline has to drain. */
#define UNIT_DRAIN_MILLIS 60000

/* A second signal to stop that comes so soon after the first one is the same. */
#define UNIT_ONCE_MILLIS 2000

struct unit_end {
    enum exit_code code; /* EXIT_DONE: drained; EXIT_REFUSED: do not start it again */
    bool asked;          /* SIGTERM or SIGINT came */
    const char *program; /* the plan's label of the one that failed; NULL: none did */
    struct err why;      /* of it; its code is the pipeline's */
};

/* Starts the plan's programs and returns when all have ended. signals is sig_open(true)'s
 * descriptor. What happened is logged here: there is more than one thing to say. notify hears of
 * the start and of the drain, and gets signs of life. */
struct unit_end unit_live(const struct plan *plan, const struct log *log, int signals,
                          struct notify *notify);

#endif
