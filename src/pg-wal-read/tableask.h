/* tableask.h: asks the source, on a connection of its own, what its catalog says of a table that
 * the server has just announced; the stream waits for the answer, which goes right behind. It waits
 * some seconds at most: without an answer the stream goes on without it, and the sinks know. */
#ifndef WALPIPE_TABLEASK_H
#define WALPIPE_TABLEASK_H

#include "lib/log.h"
#include "pg-wal-read/source.h"

enum tableask_state { TABLEASK_CLOSED, TABLEASK_CONNECTING, TABLEASK_IDLE, TABLEASK_ASKED };

struct tableask {
    const struct source_options *options;
    const struct log *log;
    PGconn *conn;
    enum tableask_state state;
    uint32_t relid;    /* that is asked about */
    bool waiting;      /* the stream waits */
    uint64_t deadline; /* until then */
    uint64_t retry_at; /* when to connect again after a failure */
    short events;      /* what poll should look for on tableask_fd */
    bool reused;       /* the connection may have been closed since the last question */
    bool said;         /* a failure was logged, and no answer came since */
    struct buf *out;   /* the stream */
};

/* options, log and out must outlive it. Without out nothing is ever asked. */
void tableask_init(struct tableask *ask, const struct source_options *options,
                   const struct log *log, struct buf *out);
void tableask_free(struct tableask *ask);

/* After each message of the source: asks when it announces a table. Then ask->waiting is true, and
 * nothing more is to be put into the stream until it is false again. */
void tableask_message(struct tableask *ask, struct bytes message);

/* The descriptor to poll for ask->events, or -1. */
int tableask_fd(const struct tableask *ask);

/* Goes on when the descriptor is ready or the deadline has passed. -1 with err: out of memory. */
int tableask_step(struct tableask *ask, bool ready, struct err *err) MUST_CHECK;

/* Nobody waits any more. */
void tableask_stop(struct tableask *ask);

#endif
