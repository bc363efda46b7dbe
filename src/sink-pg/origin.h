/* origin.h: the replication origin under which a worker writes. Whoever reads the target's changes
 * can tell by it what came by replication and what was written there: another walpipe with origin =
 * none, or a subscription with it. Without one, two databases that replicate to each other would
 * send each change round for ever.
 *
 * Each worker has its own, since an origin is in use by one session at a time. It is not where the
 * progress is kept: that is walpipe.progress. */
#ifndef SINK_PG_ORIGIN_H
#define SINK_PG_ORIGIN_H

#include "lib/frame.h"
#include "lib/verdict.h"
#include "sink-pg/session.h"

#define ORIGIN_NAME_MAX (2 * NAME_MAX_BYTES + 48)

struct origin {
    char worker[2 * NAME_MAX_BYTES + 16]; /* "PIPELINE/SINK/SHARD" */
    char name[ORIGIN_NAME_MAX]; /* "walpipe/DATABASE'S OID/" and that, once it was taken */
    bool warned;                /* that it cannot be used */
};

/* Whose origin it is. */
void origin_name(struct origin *origin, const char *pipeline, const char *sink, uint32_t shard);

enum origin_state {
    ORIGIN_SET,    /* what this session writes bears it */
    ORIGIN_UNUSED, /* the server does not let us: the log says why, once; the worker goes on */
    ORIGIN_HELD,   /* another session, perhaps of a killed worker, has it still */
    ORIGIN_FAILED  /* the connection is lost: err is set */
};

/* Makes the origin where it is missing, and takes it for a new session; waits up to patience_millis
 * for one that has it. */
enum origin_state origin_take(struct origin *origin, struct session *s, uint64_t patience_millis,
                              struct err *err) MUST_CHECK;

/* The error for ORIGIN_HELD where it cannot be done without: EXIT_PEER. Always -1. */
int origin_held(const struct origin *origin, struct err *err);

/* --check: whether `workers` of them can be used, and what must be granted or set. */
void origin_check(struct session *s, const char *pipeline, const char *sink, uint32_t workers,
                  struct verdicts *verdicts);

/* Removes the origins of all workers that the sink ever had. What the server does not let us do is
 * said in the log. -1 with err when the connection is lost. */
int origin_drop(struct session *s, const char *pipeline, const char *sink,
                struct err *err) MUST_CHECK;

#endif
