/* freshness.h: the moments of the source up to which its commits are in the targets. A `mark` pairs
 * an LSN with a moment up to which all commits lie at or before the LSN. There are two kinds of
 * marks. A transaction's commit time comes from the worker that has it. The end of the source's WAL
 * is asked for every few seconds, and counts when a target has reached it, so that a source which
 * commits nothing makes no lag. Pure, and bounded. Moments are microseconds since 2000-01-01 UTC,
 * commits by the source's clock, WAL ends by this machine's. */
#ifndef WALPIPE_ACKD_FRESHNESS_H
#define WALPIPE_ACKD_FRESHNESS_H

#include "lib/ackmsg.h"

/* When they are full, every second one is forgotten, which makes lags coarser, but not wrong. */
#define FRESHNESS_ENDS_MAX 16u

struct mark {
    uint64_t lsn;
    int64_t moment; /* 0 if there is none */
};

/* Zero-initialise to use. */
struct freshness {
    struct mark received;             /* the last commit that pg-wal-read has received */
    struct mark commits[WORKERS_MAX]; /* the last commit of each worker */
    struct mark ends[FRESHNESS_ENDS_MAX];
    uint32_t ends_count;
};

/* A worker, or pg-wal-read, has everything up to lsn, whose last commit was at `moment` (0: not
 * known). */
void freshness_commit(struct mark *mark, uint64_t lsn, int64_t moment);

/* The source's WAL ended at lsn at that moment. */
void freshness_end(struct freshness *freshness, uint64_t lsn, int64_t moment);

/* The latest moment whose commits are all at or before lsn, 0 if none is known. */
int64_t freshness_moment(const struct freshness *freshness, uint32_t workers, uint64_t lsn);

#endif
