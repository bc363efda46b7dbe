/* copy.h: from the published tables to the frames of their rows: begins lives, waits for
 * transactions, gives ranges to the connections, ends lives. Its output is a queue that the loop
 * writes. */
#ifndef WALPIPE_PGTABLEREAD_COPY_H
#define WALPIPE_PGTABLEREAD_COPY_H

#include "lib/backoff.h"
#include "pg-table-read/lives.h"
#include "pg-table-read/options.h"
#include "pg-table-read/rangeread.h"

/* While out holds as much no further range is begun; those that were come on top, 4 MiB each. */
#define COPY_OUT_LIMIT (4u << 20)

/* A connection that reads. */
struct copy_reader {
    struct rangeread range;
    struct backoff backoff;
    uint64_t rest_until; /* of clock_micros: after a failure */
};

struct copy {
    const struct options *options;
    const struct log *log;
    PGconn *conn; /* for questions */
    struct session_server server;
    char *publications; /* as pgrelations_publications makes it */
    struct lives lives;
    struct copy_reader readers[COPY_WORKERS_MAX];
    size_t readers_count;
    struct snapshot latest;  /* the newest that the server gave us */
    struct snapshot horizon; /* the one that was sent last */
    uint64_t list_at;        /* of clock_micros: when the catalog is read next */
    uint64_t look_at;        /* when the lives are looked at */
    uint64_t horizon_at;     /* when a fresh snapshot is taken */
    uint64_t rate_until;     /* no range is begun before */
    bool ended;              /* `end` is in out */
    struct buf out;
};

/* Connects, and puts hello into out. copy must not move afterwards, and is to be freed also after a
 * failure. */
int copy_open(struct copy *copy, const struct options *options, const struct log *log,
              struct err *err) MUST_CHECK;

/* Does all that can be done without waiting. *deadline is when it must be called again at the
 * latest (of clock_micros). */
int copy_step(struct copy *copy, uint64_t *deadline, struct err *err) MUST_CHECK;

/* To be called when the reader's descriptor can be read. */
int copy_read(struct copy *copy, struct copy_reader *reader, struct err *err) MUST_CHECK;

/* Puts `end` into out: nothing more is read. */
int copy_stop(struct copy *copy, struct err *err) MUST_CHECK;

/* -1: it waits for nothing. */
int copy_reader_fd(const struct copy_reader *reader);

void copy_free(struct copy *copy);

#endif
