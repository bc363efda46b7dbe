/* position.h: positions of the source and of a sink, and transactions of the source that others do
 * not see yet. */
#ifndef WALPIPE_COMPARE_POSITION_H
#define WALPIPE_COMPARE_POSITION_H

#include <libpq-fe.h>

#include "lib/ackmsg.h"
#include "walpipe/config.h"

struct position {
    const struct config *config;
    const struct sink_config *sink;
    PGconn *source;
    struct ack_status *status; /* room for an answer of ackd */
    uint64_t reached;          /* the sink's position when it was last read, 0 if not known */
    bool gave_up;              /* a wait was in vain, so the next ones only look */
    char why[512];             /* of a wait that ended without success */
};

/* The position of the source's WAL. Every change that was visible before is below it. 0, or -1 with
 * err. */
int position_of_source(PGconn *source, uint64_t *lsn, struct err *err) MUST_CHECK;

/* Waits until all workers of the sink have reached the position. Returns 0, 1 with why if they have
 * not in time or nothing reads the slot, or -1 with err. */
int position_wait(struct position *position, uint64_t lsn, struct err *err) MUST_CHECK;

/* Waits until the source's transactions that run now have ended. Returns 0, 1 with why if one is
 * still open and may be between its commit and the moment when others see it, or -1 with err. */
int position_settle(struct position *position, struct err *err) MUST_CHECK;

#endif
