/* asks.h: whom pg-table-read has asked of which life, and who has not answered yet. Pure. */
#ifndef WALPIPE_ACKD_ASKS_H
#define WALPIPE_ACKD_ASKS_H

#include "lib/base.h"
#include "lib/limits.h"

/* Questions that are open at a time. */
#define ASKS_MAX 256u

struct ask {
    uint64_t life;
    uint32_t asked;            /* workers */
    uint32_t waiting;          /* of these, that have not answered; 0: this slot is free */
    bool workers[WORKERS_MAX]; /* those */
};

/* Zero-initialise to use. */
struct asks {
    struct ask open[ASKS_MAX];
};

enum asks_verdict {
    ASKS_OPEN,     /* some have not answered */
    ASKS_ANSWERED, /* all have; *asked is how many there were */
    ASKS_UNKNOWN,  /* nobody asked this worker, or it had answered already */
    ASKS_TWICE,    /* the life was asked of, and is not answered */
    ASKS_FULL
};

/* Asks the workers for which workers[i]. */
enum asks_verdict asks_add(struct asks *asks, uint64_t life, const bool workers[WORKERS_MAX],
                           uint32_t *asked) MUST_CHECK;

/* The worker's last answer. */
enum asks_verdict asks_answer(struct asks *asks, uint64_t life, uint32_t worker,
                              uint32_t *asked) MUST_CHECK;

#endif
