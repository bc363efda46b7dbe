/* route.h: which worker of which sink gets which event. Pure: frames in, bytes into the workers'
 * queues; loop.c moves them. */
#ifndef WALPIPE_ROUTE_H
#define WALPIPE_ROUTE_H

#include "lib/event.h"
#include "lib/limits.h"
#include "route/tables.h"

struct worker {
    const char *path; /* where its stream goes, as the option said */
    int fd;
    struct buf out;  /* what is not yet written */
    uint64_t events; /* changes of the open transaction that it was sent */
};

struct sink {
    const char *name;
    struct tables tables;
    uint64_t barrier_id;
    struct worker *workers;
};

struct router {
    struct sink *sinks;
    size_t sinks_count;
    bool greeted;
    bool ended;
    bool in_transaction;
    uint64_t commit_lsn;      /* of the open transaction */
    uint64_t changes;         /* of the open transaction that came: its commit must say the same */
    struct row_values values; /* scratch for SHARD_BY_COLUMN */
};

/* Routes the stream's next frame; the first must be the event stream's hello. Appends to the
 * workers' queues. */
int route_frame(struct router *router, const struct frame *frame, struct err *err) MUST_CHECK;

/* Frees what routing made; the sinks and workers are the caller's. */
void router_free(struct router *router);

#endif
