/* ackd.h: the state of one ackd, which lives for one run. The parts that can be reasoned about
 * alone (ledger, pace, barrier, admission, checkpoint, conn, what metrics counts) do not include
 * this file; those that act on the whole state do: loop calls source, worker and copier, the first
 * two call confirm and copier, and none of them calls back.
 *
 * Their functions that return int return 0, or -1 with err: ackd then ends, and with it the run. A
 * connection that is merely unwelcome is closed with a line in the log. */
#ifndef WALPIPE_ACKD_ACKD_H
#define WALPIPE_ACKD_ACKD_H

#include "ackd/admission.h"
#include "ackd/asks.h"
#include "ackd/barrier.h"
#include "ackd/checkpoint.h"
#include "ackd/conn.h"
#include "ackd/differences.h"
#include "ackd/ledger.h"
#include "ackd/metrics.h"
#include "ackd/pace.h"
#include "ackd/walend.h"
#include "lib/log.h"

/* Every worker, pg-wal-read, pg-table-read, and some `walpipe status`. */
#define CONNS_MAX (WORKERS_MAX + 32)

struct sink {
    char name[NAME_MAX_BYTES + 1];
    uint32_t shards;
    uint32_t first_worker;
    struct barrier barrier;
};

struct worker {
    uint32_t sink; /* index */
    uint32_t shard;
    struct conn *conn; /* NULL: not connected */
    bool registered;
    bool reads_copies; /* its stream has rows that exist already */
    bool finished;
    bool target_alive;
    char target_message[256]; /* why not */
    uint64_t heard_at;        /* its last message */
    struct worker_metrics metrics;
};

struct ackd {
    struct log log;
    uint64_t started_at;
    uint64_t restarts; /* of the unit, as the supervisor says */

    /* --pipeline, --state, --sink */
    char pipeline[NAME_MAX_BYTES + 1];
    const char *dir_path;
    int dir;
    uint32_t sinks_count, workers_count;
    struct sink sinks[WORKERS_MAX];
    struct worker workers[WORKERS_MAX];
    char sinks_line[CHECKPOINT_SINKS_SIZE]; /* for the checkpoint */

    /* the checkpoint on disk */
    bool checkpoint_known;
    bool checkpoint_failing;       /* the last attempt to write failed */
    uint64_t checkpoint_retry_at;  /* then */
    uint64_t checkpoint_safe_seen; /* safe LSN in the file when ackd started; 0: no file */
    struct checkpoint checkpoint;
    struct walend seen; /* of the source's WAL, by this ackd or an earlier one */
    bool proving; /* the slot is ahead of it, and not every worker has proved that this is well */

    /* the run */
    struct conn *reader;
    struct ack_waiting waiting; /* what the reader waits for; message "": for nothing */
    bool running; /* pg-wal-read was accepted: run_id, source, ledger and pace are set */
    bool draining, drained, done;
    struct run_id run_id;
    struct ack_source source;
    bool slot_known;
    bool slot_warned;
    bool wal_end_short; /* the last `slot` message said that WAL was lost */
    struct ack_slot slot;
    struct differences differences;
    struct ledger ledger;
    struct pace pace;

    /* pg-table-read */
    struct conn *copier; /* NULL: not connected */
    bool copier_served;  /* it was told of the run: there is no second one */
    struct asks asks;

    int listener;
    uint64_t accept_again_at; /* accept(2) failed: not before */
    struct conn conns[CONNS_MAX];
};

/* "dst/0" */
struct worker_name {
    char text[NAME_MAX_BYTES + 16];
};
struct worker_name ackd_worker_name(const struct ackd *ackd, const struct worker *worker);

/* NULL: there is none of that name. */
struct sink *ackd_find_sink(struct ackd *ackd, const char *name);

#endif
