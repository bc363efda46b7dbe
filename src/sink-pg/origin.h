/* origin.h: the replication origin under which a worker writes. A reader of the target's changes
 * uses it to tell replicated changes from local ones. Such readers are another walpipe with origin
 * = none, and a subscription with that option. Without an origin, two databases that replicate to
 * each other would send each change round for ever.
 *
 * Each worker has its own, because only one session at a time can use an origin. It does not hold
 * the progress, which is in walpipe.progress. */
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
    ORIGIN_SET,    /* everything that this session writes has it */
    ORIGIN_UNUSED, /* the server refuses it, which is logged once, and the worker continues
                    */
    ORIGIN_HELD,   /* another session, perhaps of a killed worker, still uses it */
    ORIGIN_FAILED  /* the connection is lost, and err is set */
};

/* Creates the origin if it is missing, and takes it for a new session. Waits up to patience_millis
 * for another session that has it. */
enum origin_state origin_take(struct origin *origin, struct session *s, uint64_t patience_millis,
                              struct err *err) MUST_CHECK;

/* The error for ORIGIN_HELD if the worker needs the origin, EXIT_PEER. Always -1. */
int origin_held(const struct origin *origin, struct err *err);

/* For --check. Reports whether `workers` origins can be used, and which grants or settings are
 * missing. */
void origin_check(struct session *s, const char *pipeline, const char *sink, uint32_t workers,
                  struct verdicts *verdicts);

/* Removes the origins of all workers that the sink ever had. Refusals of the server are logged.
 * Returns -1 with err if the connection is lost. */
int origin_drop(struct session *s, const char *pipeline, const char *sink,
                struct err *err) MUST_CHECK;

#endif
