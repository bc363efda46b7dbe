/* unit.h: one life of the pipeline. All programs of a plan are started, watched and ended together.
 * run.c decides about another life. */
#ifndef WALPIPE_UNIT_H
#define WALPIPE_UNIT_H

#include "lib/log.h"
#include "walpipe/notify.h"
#include "walpipe/plan.h"
#include "walpipe/reload.h"

/* After a child ended, the time that the others have to notice it by themselves. */
#define UNIT_NOTICE_MILLIS 2000

/* After SIGTERM, the time that the pipeline has to drain. */
#define UNIT_DRAIN_MILLIS 60000

/* The same before a start with a new config. A target may be down, and the new config without it.
 */
#define UNIT_RENEW_MILLIS 10000

/* A second signal to stop within this time counts as the first one. */
#define UNIT_ONCE_MILLIS 2000

struct unit_end {
    enum exit_code code; /* EXIT_DONE if drained, EXIT_REFUSED if it must not be started again */
    bool asked;          /* SIGTERM or SIGINT came */
    bool started;        /* all programs were */
    bool copied; /* copy = only: pg-table-read found nothing left to copy, and all drained */
    const char *program; /* the plan's label of the program that failed, NULL if none did */
    const struct sink_config *sink; /* whose worker it is, NULL if it is not a worker */
    struct err why;                 /* its reason, whose code is the pipeline's */
};

/* Starts the plan's programs and returns when all have ended. signals is sig_open's
 * descriptor. Events are logged here, because there are several of them. notify hears of the start
 * and of the drain, and gets signs of life. At SIGHUP the config is read again, and at SIGUSR1 the
 * pauses. If the programs must be started again for it, they are drained. */
struct unit_end unit_live(const struct plan *plan, struct reload *reload, const struct log *log,
                          int signals, struct notify *notify);

#endif
