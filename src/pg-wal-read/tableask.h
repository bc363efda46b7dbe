/* tableask.h: asks the source's catalog, on a connection of its own, about a table that the server
 * has just announced. The stream waits for the answer, which is written right behind the
 * announcement. It waits some seconds at most. Then it continues without the answer, and the sinks
 * can handle that. */
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
    uint32_t relid;    /* of the table in question */
    bool waiting;      /* the stream waits */
    uint64_t deadline; /* until then */
    uint64_t retry_at; /* when to connect again after a failure */
    short events;      /* events of tableask_fd to poll for */
    bool reused;       /* the connection may have been closed since the last question */
    bool said;         /* a failure was logged, and no answer came since */
    struct buf *out;   /* the stream */
};

/* options, log and out must outlive it. Without out nothing is ever asked. */
void tableask_init(struct tableask *ask, const struct source_options *options,
                   const struct log *log, struct buf *out);
void tableask_free(struct tableask *ask);

/* Call it after each message of the source. It sends a query if the message announces a table. Then
 * ask->waiting is true, and nothing more may be put into the stream until it is false again. */
void tableask_message(struct tableask *ask, struct bytes message);

/* The descriptor to poll for ask->events, or -1. */
int tableask_fd(const struct tableask *ask);

/* Continues when the descriptor is ready or the deadline has passed. Returns -1 with err when
 * memory is out. */
int tableask_step(struct tableask *ask, bool ready, struct err *err) MUST_CHECK;

/* The caller does not wait any more. */
void tableask_stop(struct tableask *ask);

#endif
