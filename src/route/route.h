/* route.h: which worker of which sink gets which event. Pure: frames in, bytes into the workers'
 * queues; main.c moves them. */
#ifndef WALPIPE_ROUTE_H
#define WALPIPE_ROUTE_H

#include "lib/event.h"
#include "lib/limits.h"
#include "lib/relmap.h"
#include "route/filter.h"

enum shard_key { SHARD_BY_KEY, SHARD_BY_TABLE, SHARD_BY_COLUMN };

struct worker {
    const char *path; /* where its stream goes, as the option said */
    int fd;
    struct buf out;  /* what is not yet written */
    uint64_t events; /* changes of the open transaction that it was sent */
};

/* What a sink keeps of a table. */
struct routed_table {
    uint32_t relid;
    bool taken;
    bool by_column;  /* SHARD_BY_COLUMN and the table has the column */
    uint32_t column; /* its index */
};

struct sink {
    const char *name;
    enum shard_key shard_key;
    const char *shard_column;
    struct filter filter;
    struct relmap tables;
    uint64_t barrier_id;
    uint32_t shards;
    struct worker *workers;
};

struct router {
    struct sink *sinks;
    size_t sinks_count;
    bool greeted;
    bool ended;
    struct row_event row; /* scratch for SHARD_BY_COLUMN */
    struct row_values values;
};

/* Routes the stream's next frame; the first must be the event stream's hello. Appends to the
 * workers' queues. */
int route_frame(struct router *router, const struct frame *frame, struct err *err) MUST_CHECK;

/* Frees what routing made; the sinks and workers are the caller's. */
void router_free(struct router *router);

#endif
