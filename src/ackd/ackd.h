/* ackd.h: the state of one ackd, which lives for one run. The parts that can be understood alone
 * (ledger, pace, barrier, admission, freshness, history, troubles, tablestats, checkpoint, conn,
 * counters) do not include this file. The parts that act on the whole state do. loop calls source,
 * worker and copier. source and worker call confirm, detach and copier, and copier calls control.
 * None of them calls back. source, worker and confirm call kept.
 *
 * Functions that return int return 0, or -1 with err. After -1 ackd ends, and the run with it. A
 * connection that is merely unwelcome is closed, and the log gets a line. */
#ifndef WALPIPE_ACKD_ACKD_H
#define WALPIPE_ACKD_ACKD_H

#include "ackd/admission.h"
#include "ackd/asks.h"
#include "ackd/barrier.h"
#include "ackd/checkpoint.h"
#include "ackd/conn.h"
#include "ackd/counters.h"
#include "ackd/differences.h"
#include "ackd/freshness.h"
#include "ackd/history.h"
#include "ackd/ledger.h"
#include "ackd/pace.h"
#include "ackd/reached.h"
#include "ackd/tablestats.h"
#include "ackd/troubles.h"
#include "ackd/walend.h"
#include "lib/log.h"

/* Every worker, pg-wal-read, pg-table-read, and some connections of `walpipe status`. */
#define CONNS_MAX (WORKERS_MAX + 32)

struct sink {
    char name[NAME_MAX_BYTES + 1];
    uint32_t shards;
    uint32_t first_worker;
    bool paused;   /* none of its workers runs, and nothing beyond the slot's LSN is confirmed */
    bool detached; /* paused is set, too, but nothing waits for the sink: detach.h */
    uint64_t paused_since;  /* Unix time */
    uint64_t reached;       /* paused: by an earlier run, 0 if not known */
    uint64_t kept;          /* position in its target, as an earlier run noted it; 0: not known */
    uint64_t lacks_from;    /* detached: its target has the changes up to there, 0 if not known */
    uint64_t detach_after;  /* bytes of WAL, 0 if it is never given up */
    bool detach_failed;     /* it should have been */
    struct ack_lacks lacks; /* as a worker has reported them last */
    struct barrier barrier;
};

struct worker {
    uint32_t sink; /* an index */
    uint32_t shard;
    struct conn *conn; /* NULL while not connected */
    char program[32];  /* as it registered */
    bool registered;
    bool reads_copies; /* its stream contains rows that exist already */
    bool is_new;       /* it had no position in its target when it registered */
    uint64_t kept;     /* the highest position that its target has, 0 if not known */
    bool finished;
    bool target_alive;
    char target_message[256]; /* why it is not alive */
    uint64_t down_since;      /* of clock_micros() */
    uint64_t heard_at;        /* when its last message came */
    struct worker_metrics metrics;
};

/* Requests of commands that wait for pg-table-read's answer. */
#define CONTROLS_MAX 16

struct control {
    struct conn *conn; /* NULL if this slot is free */
    uint64_t number;
    bool waits; /* for pg-table-read, which has not connected yet */
    struct copy_control request;
};

struct ackd {
    struct log log;
    uint64_t started_at;
    uint64_t restarts; /* of the unit, as the supervisor reports them */

    /* from --pipeline, --state, --sink */
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
    uint64_t checkpoint_retry_at;  /* when to try again */
    uint64_t checkpoint_safe_seen; /* safe LSN in the file when ackd started, 0 without a file */
    struct checkpoint checkpoint;
    struct walend seen;  /* end of the source's WAL, seen by this ackd or an earlier one */
    char *reached;       /* the text of that file, NULL if there is none */
    uint64_t reached_at; /* when it was written last */
    bool proving; /* the slot is ahead of the checkpoint, and some worker has not proved yet that
                     its target has everything */

    /* the run */
    struct conn *reader;
    struct ack_waiting waiting; /* of the reader, message "" if it does not wait */
    bool running; /* pg-wal-read was accepted, so run_id, source, ledger and pace are set */
    bool draining, drained, done;
    uint64_t began_at; /* clock_micros() */
    struct run_id run_id;
    struct ack_source source;
    bool slot_known;
    bool slot_warned;
    bool wal_end_short; /* the last `slot` message reported that WAL was lost */
    struct ack_slot slot;
    struct differences differences;
    struct ledger ledger;
    struct freshness freshness; /* of this run */
    struct pace pace;

    /* pg-table-read */
    struct conn *copier; /* NULL while not connected */
    bool copier_served;  /* it was told of the run, and a run takes only one */
    struct asks asks;
    uint64_t last_control; /* number of the last request */
    struct control controls[CONTROLS_MAX];

    /* for people */
    struct history history;
    struct troubles troubles;
    struct tablestats tablestats;

    int listener;
    uint64_t accept_again_at; /* accept(2) failed, so do not call it before this time */
    struct conn conns[CONNS_MAX];
};

/* "dst/0" */
struct worker_name {
    char text[NAME_MAX_BYTES + 16];
};
struct worker_name ackd_worker_name(const struct ackd *ackd, const struct worker *worker);

/* Returns NULL if no sink has that name. */
struct sink *ackd_find_sink(struct ackd *ackd, const char *name);

#endif
