/* state.h: the data that the parts of a copy (copy, turns, ranges, horizon, hearing) share. */
#ifndef WALPIPE_PGTABLEREAD_STATE_H
#define WALPIPE_PGTABLEREAD_STATE_H

#include "lib/ackcopy.h"
#include "lib/backoff.h"
#include "pg-table-read/flights.h"
#include "pg-table-read/options.h"
#include "pg-table-read/rangeread.h"

/* While out holds this much no further range is begun. Those that were begun come on top, 4 MiB
 * each. */
#define COPY_OUT_LIMIT (4u << 20)

/* Requests that wait until the workers have reported their notes. */
#define REQUESTS_MAX 16

struct keyless;

/* A connection that reads. */
struct copy_reader {
    struct rangeread range;
    struct backoff backoff;
    uint64_t rest_until; /* of clock_micros, after a failure */
};

struct copy {
    const struct options *options;
    const struct log *log;
    bool begun;        /* hello is in out; with ackd, it has told us of the run */
    bool told_to_stop; /* before that */
    PGconn *conn;      /* for questions */
    struct session_server server;
    char *publications; /* the text of pgrelations_publications */
    struct lives lives;
    struct copy_reader readers[COPY_WORKERS_MAX];
    size_t readers_count;
    uint64_t workers;        /* how many of them there are to be */
    uint64_t rate;           /* bytes a second of all of them; 0: no limit */
    struct snapshot latest;  /* the newest that the server gave us */
    struct snapshot horizon; /* the one that was sent last */
    uint64_t list_at;        /* when the catalog is read next, of clock_micros */
    uint64_t look_at;        /* when the lives are looked at */
    uint64_t horizon_at;     /* when a fresh snapshot is taken */
    uint64_t rate_until;     /* no range is begun before this time */
    bool ended;              /* `end` is in out */
    struct buf out;

    /* with ackd; otherwise ack.fd is -1 */
    struct ackconn ack;
    struct ack_source source; /* of the run */
    bool draining;            /* the main stream has ended */
    bool listed;              /* the catalog was read before */
    bool asking;              /* life 0 is not answered yet */
    bool ask_again;           /* there are tables that the workers were not asked about */
    uint64_t reach;           /* the position of WAL when the catalog had been read first */
    uint64_t safe_lsn;        /* all workers have confirmed it */
    uint64_t safe_at;         /* look_at when ackd was asked for it last: once in a look */
    bool all_have;            /* ending.h: the workers have said so of every table */
    uint64_t end_reach;       /* then the position that they must reach, 0 while not known */
    struct crew crew;
    struct flights flights;

    struct copy_control requests[REQUESTS_MAX]; /* see resync.h */
    size_t requests_count;

    struct keyless *keyless; /* snapshots of lives: see keyless.h */
};

static inline bool
state_has_ackd(const struct copy *copy)
{
    return copy->options->ackd != NULL;
}

/* The only failure of the functions of lives.h, flights.h and of the encoders. Always -1. */
static inline int
state_out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

#endif
