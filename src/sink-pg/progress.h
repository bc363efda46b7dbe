/* progress.h: this worker's row in walpipe.progress of the target. It has the position of the
 * target, and decides which worker may move it.
 *
 * walpipe.progress(pipeline, sink, shard, shards, system_identifier, timeline, slot, epoch, lsn,
 * partial_commit_lsn, partial_ordinal, updated_at, layout). The row is updated in the transaction
 * that applies the data. The update fails if another worker has raised the epoch since.
 *
 * The epoch also counts the worker's commits, because many of them leave the position where it was.
 * So after a lost connection the row tells which of them the target has. */
#ifndef SINK_PG_PROGRESS_H
#define SINK_PG_PROGRESS_H

#include "lib/frame.h"
#include "sink-pg/layers.h"
#include "sink-pg/pipe.h"
#include "sink-pg/session.h"
#include "sink-pg/watch.h"

/* Zero-initialise, then set pipeline, hello and layout. */
struct progress {
    const char *pipeline;
    const struct hello *hello;
    const struct layout *layout; /* of the stream */
    struct layers layers;        /* older layouts that still matter, set by progress_start */
    int64_t epoch;
    uint32_t timeline;       /* of the row when the worker started; the first commit sets hello's */
    struct position durable; /* the row's position, as far as we know */
    struct stmt update;
    struct buf sql;
    uint64_t generation; /* of the session that knows update */
    size_t watched;      /* bytes of the watch's oids that update names */
    bool fenced;         /* the row is not ours any more, or an old one, so never try again */
};

bool position_equal(const struct position *a, const struct position *b);

/* Creates the table if it is missing, takes the row, compares it with hello, raises the epoch and
 * sets durable and timeline, which ackd compares. EXIT_REFUSED if the row is not of this source. */
int progress_start(struct progress *p, struct session *s, struct err *err) MUST_CHECK;

/* What the target has of the worker's commits after a lost connection. */
struct progress_found {
    struct position position;
    bool one_more; /* it has the commit whose answer was lost */
};

/* Call it after a lost connection. Raises the epoch again, so that no transaction of the old
 * connection can still commit. Returns -1 if the row is not ours any more, or the target has lost
 * commits that it had answered. */
int progress_resume(struct progress *p, struct session *s, struct progress_found *found,
                    struct err *err) MUST_CHECK;

/* Queues the update to `to`, as STEP_PROGRESS, which fails with SQLSTATE 22012 if the row is not
 * ours any more. With ask it is a STEP_WATCH, which also fails if the server may have noticed a
 * change of a watched table. */
int progress_queue(struct progress *p, struct pipe *pipe, const struct position *to,
                   const struct watch *watch, bool ask, struct err *err) MUST_CHECK;

/* A transaction with the update was committed. */
void progress_committed(struct progress *p, const struct position *to);

/* Inside another transaction: locks the row until its end. EXIT_PEER if it is not ours any more. */
int progress_hold(struct progress *p, struct session *s, struct err *err) MUST_CHECK;

/* The error for that. Always -1. */
int progress_fenced(struct progress *p, struct err *err);

void progress_free(struct progress *p);

/* Takes the rows from workers that may live, without taking over: none of them commits again, and
 * the next start goes on. Inside a transaction that has the lock of progress_start. */
int progress_fence(struct session *s, const char *pipeline, const char *sink,
                   struct err *err) MUST_CHECK;

/* For `sink-pg --drop-progress`. Removes the rows of a sink. */
int progress_drop(struct session *s, const char *pipeline, const char *sink,
                  struct err *err) MUST_CHECK;

/* For --check. Checks that the rows that are there are of hello's source. *message describes them
 * for a person. Returns -1 with err if the start would refuse. */
int progress_check(struct session *s, const char *pipeline, const struct hello *hello,
                   char *message, size_t size, struct err *err) MUST_CHECK;

#endif
