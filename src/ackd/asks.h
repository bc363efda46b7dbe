/* asks.h: the questions of pg-table-read that workers have not answered yet. Each is about one life
 * of a table. Pure. */
#ifndef WALPIPE_ACKD_ASKS_H
#define WALPIPE_ACKD_ASKS_H

#include "lib/base.h"
#include "lib/limits.h"

/* Most questions that are open at a time. */
#define ASKS_MAX 256u

struct ask {
    uint64_t life;
    uint32_t asked;            /* number of workers */
    uint32_t waiting;          /* number of these that have not answered, 0 if this slot is free */
    bool workers[WORKERS_MAX]; /* the workers that have not answered */
};

/* Zero-initialise to use. */
struct asks {
    struct ask open[ASKS_MAX];
};

enum asks_verdict {
    ASKS_OPEN,     /* some workers have not answered */
    ASKS_ANSWERED, /* all have answered, and *asked is their number */
    ASKS_UNKNOWN,  /* this worker was not asked, or had answered already */
    ASKS_TWICE,    /* this life has an open question already */
    ASKS_FULL
};

/* Asks each worker i for which workers[i] is true. */
enum asks_verdict asks_add(struct asks *asks, uint64_t life, const bool workers[WORKERS_MAX],
                           uint32_t *asked) MUST_CHECK;

/* Notes the worker's last answer. */
enum asks_verdict asks_answer(struct asks *asks, uint64_t life, uint32_t worker,
                              uint32_t *asked) MUST_CHECK;

#endif
