/* route.h: decides which worker of which sink gets each event. Pure. It takes frames and appends
 * bytes to the workers' queues, which loop.c writes. */
#ifndef WALPIPE_ROUTE_H
#define WALPIPE_ROUTE_H

#include "lib/event.h"
#include "lib/limits.h"
#include "route/tables.h"

/* A worker's part of the frames that copyin.h gathers. */
struct share {
    struct buf frames;   /* they wait until they may enter its stream */
    struct buf rows;     /* of the current frame */
    uint32_t rows_count; /* in these */
    uint64_t range_rows; /* in the frames `rows` and `absent` of the open range */
};

struct worker {
    const char *path; /* the path of its stream, from the option */
    int fd;
    struct buf out;  /* bytes that are not yet written */
    size_t ahead;    /* bytes of it before the first part of a copy that it has */
    size_t copied;   /* bytes of such parts */
    uint64_t events; /* changes of the open transaction that were sent to it */
    struct share share;
};

struct sink {
    const char *name;
    uint32_t version; /* of its stream, 0 for STREAM_VERSION */
    bool hears;       /* of tables that it does not take, also without STREAM_VERSION_COPY */
    struct tables tables;
    uint64_t barrier_id;
    struct worker *workers;
};

struct router {
    struct sink *sinks;
    size_t sinks_count;
    bool greeted;
    struct run_id run_id; /* these must be the same in a copy */
    uint64_t system_identifier;
    uint32_t timeline;
    bool ended;
    bool in_transaction;
    uint64_t commit_lsn;      /* of the open transaction */
    uint64_t changes;         /* of the open transaction so far, which its commit must confirm */
    struct row_values values; /* scratch for SHARD_BY_COLUMN */
};

/* Routes the stream's next frame. The first must be the event stream's hello. Appends to the
 * workers' queues. */
int route_frame(struct router *router, const struct frame *frame, struct err *err) MUST_CHECK;

/* Puts the sink's name in front of err's message. Always -1. */
int route_name_sink(const struct sink *sink, struct err *err);

/* Frees the memory of routing. The caller frees the sinks and workers. */
void router_free(struct router *router);

#endif
